"""Students: mixtures of experts and one-step policies."""
