"""Selective reading of serialised messages: only requested fields."""
