"""Checks a robot file: its readings of a recording or a running robot, and problems."""
