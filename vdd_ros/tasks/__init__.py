"""Simulated tasks and their scripted demonstrators."""
