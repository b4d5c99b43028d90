"""What a robot file reads from a recording or a running robot, and what is wrong with it."""
