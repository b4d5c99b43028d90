"""What the machine grants, and what it does."""
