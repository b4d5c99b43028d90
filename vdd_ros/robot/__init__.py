"""The robot file: messages and named values."""
