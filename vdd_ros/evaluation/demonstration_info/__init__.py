"""What a demonstration set holds: episodes, ranges, rates, and frames that look wrong."""
