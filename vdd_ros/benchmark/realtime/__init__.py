"""The policy node at control rate."""

PARTS = ("networks", "ticks", "arrivals", "drivers", "swaps", "rates", "fifo")
