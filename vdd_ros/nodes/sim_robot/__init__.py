"""The machinery of the simulated robot."""
