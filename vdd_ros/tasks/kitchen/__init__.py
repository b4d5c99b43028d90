"""Relay Kitchen, as in gymnasium-robotics: the simulation, its demonstrator and its picture."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.kitchen.demonstrator import demonstrate, demonstrate_part
from vdd_ros.tasks.kitchen.sim import SPEC, KitchenSim, name_of
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Task


def _scene() -> Scene:
    from vdd_ros.tasks.kitchen.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/kitchen.yaml")


TASK = Task(
    spec=SPEC,
    make_sim=KitchenSim,
    demonstrate=demonstrate,
    default_demonstrations=566,
    scene=_scene,
    robot_file=_robot_file,
    demonstrate_part=demonstrate_part,
    name_mode=name_of,
)
