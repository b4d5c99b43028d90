"""Distil diffusion policies into mixtures of experts and run them on robots with ROS 2."""

__version__ = "0.1.0"
