"""Nodes as processes beside a simulated robot."""
