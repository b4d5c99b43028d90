"""Evaluation of latency bags."""
