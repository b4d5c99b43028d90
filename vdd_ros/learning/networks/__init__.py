"""Backbones: residual MLP and causal GPT."""
