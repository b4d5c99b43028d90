"""Distil diffusion policies into mixtures of experts and run them on robots with ROS 2."""

import sys

__version__ = "0.1.0"

if sys.modules.get("gymnasium") is not None:  # whoever imports both can make the tasks' environments by name
    from vdd_ros.tasks.gym_names import register

    register()
