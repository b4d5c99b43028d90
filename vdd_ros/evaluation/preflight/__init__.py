"""Checks of a policy against recorded values before anything moves: order, units, signs, ranges. Pure functions."""
