"""What latency bags say."""
