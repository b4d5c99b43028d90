"""Evaluation of policy files and bags: numbers and figures, without torch."""
