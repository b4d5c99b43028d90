"""Fidelity of a student to its teacher."""
