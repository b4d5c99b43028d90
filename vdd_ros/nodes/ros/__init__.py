"""What all nodes share: parameters, messages, threads, signals."""
