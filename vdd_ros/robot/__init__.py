"""The robot file: maps messages to named values."""
