"""Avoiding, a task of D3IL: the simulation, its demonstrator, its picture and its published figures."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.avoiding.demonstrator import demonstrate, demonstrate_like_a_person
from vdd_ros.tasks.avoiding.sim import SPEC, AvoidingSim
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Published, Task


def _scene() -> Scene:
    from vdd_ros.tasks.avoiding.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/avoiding.yaml")


TASK = Task(
    spec=SPEC,
    make_sim=AvoidingSim,
    demonstrate=demonstrate,
    default_demonstrations=96,
    scene=_scene,
    robot_file=_robot_file,
    published={  # of VDD's paper, all with GPT backbones
        "ddpm": Published(0.94),
        "beso": Published(0.96),
        "ddpm-1": Published(0.09),
        "beso-1": Published(0.84),
        "cd": Published(0.82, 0.05),
        "ctm": Published(0.93, 0.02),
        "em": Published(0.65, 0.18),
        "imc": Published(0.75, 0.08),
        "vdd-paper-beso": Published(0.95, 0.01),
        "vdd-ddpm": Published(0.92, 0.02),
        "vdd-beso": Published(0.95, 0.01),
    },
    styles={"human": demonstrate_like_a_person},
    presets={"paper-avoiding-ddpm": {}, "paper-avoiding-beso": {}},
)
