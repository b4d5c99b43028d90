"""What policy files and bags are worth: figures and numbers, without torch."""
