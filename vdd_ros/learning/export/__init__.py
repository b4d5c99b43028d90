"""From checkpoints to policy files."""
