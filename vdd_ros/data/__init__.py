"""Demonstration sets: one in-memory form, readers and writers."""
