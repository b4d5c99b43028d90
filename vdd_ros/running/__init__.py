"""Nodes as processes: what to start, in which order, watched until the end."""
