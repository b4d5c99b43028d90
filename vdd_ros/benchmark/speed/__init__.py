"""The speed of learning."""
