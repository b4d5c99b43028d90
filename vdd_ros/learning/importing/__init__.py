"""Teachers that other programs trained."""
