"""Comparison of methods: training, export, rollouts, tables."""
