"""Relay Kitchen, as in gymnasium-robotics: the simulation, its demonstrator and its picture."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.chunk_preset import chunked_mlp
from vdd_ros.tasks.kitchen.demonstrator import demonstrate, demonstrate_part
from vdd_ros.tasks.kitchen.sim import SPEC, KitchenSim, goal_share, name_of
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Published, Task


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
    goal_share=goal_share,
    published={  # of VDD's paper, all with GPT backbones: completed elements an episode
        "ddpm": Published(3.35, measure="return"),
        "beso": Published(4.06, measure="return"),
        "ddpm-1": Published(0.22, measure="return"),
        "beso-1": Published(4.02, measure="return"),
        "cd": Published(3.87, 0.05, measure="return"),
        "ctm": Published(3.89, 0.11, measure="return"),
        "em": Published(3.62, measure="return"),
        "imc": Published(3.67, measure="return"),
        "vdd-ddpm": Published(3.24, 0.12, measure="return"),
        "vdd-beso": Published(3.85, 0.10, measure="return"),
    },
    published_note="the published policies see a goal and learned from people, ours do not",
    name_mode=name_of,
    presets={"mlp": chunked_mlp(teacher_steps=10_000, vdd_steps=4_000, mixture_steps=4_000)},
    default_preset="mlp",
)
