"""Examination of a demonstration set: episodes, ranges, rates, and suspicious frames."""
