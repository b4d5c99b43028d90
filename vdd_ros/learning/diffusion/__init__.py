"""Diffusion models: noise levels, teachers, samplers, the probability-flow ODE."""
