"""The machine: real-time settings, facts, threads and preemptions."""
