"""Benchmarks: of methods, of learning speed, of control at rate, of tasks."""
