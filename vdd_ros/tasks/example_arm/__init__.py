"""The example arm of the tutorial: the simulation, the operator and its picture."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.example_arm.operator import demonstrate, demonstrate_part
from vdd_ros.tasks.example_arm.sim import MODE_NAMES, SPEC, ExampleArmSim, draw_targets
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Task


def _scene() -> Scene:
    from vdd_ros.tasks.example_arm.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/example_arm.yaml")


TASK = Task(
    spec=SPEC,
    make_sim=ExampleArmSim,
    demonstrate=demonstrate,
    default_demonstrations=40,
    scene=_scene,
    robot_file=_robot_file,
    contexts=draw_targets,
    test_contexts=60,
    demonstrate_part=demonstrate_part,
    presets={"small": {"train": {"backbone": "mlp"}, "vdd": {"backbone": "mlp"}}},  # four numbers need no transformer
    default_preset="small",
    mode_names=MODE_NAMES,
)
