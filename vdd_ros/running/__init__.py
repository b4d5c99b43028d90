"""Nodes as processes: started in order, and watched until the end."""
