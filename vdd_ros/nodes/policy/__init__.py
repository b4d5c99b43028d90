"""The machinery of the policy node."""
