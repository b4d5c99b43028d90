"""The machinery of the bag recorder."""
