"""Training: windows, the loop, checkpoints, run folders."""
