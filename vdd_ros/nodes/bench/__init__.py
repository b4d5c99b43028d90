"""Nodes that `vdd benchmark realtime` starts as processes of their own; no robot needs them."""
