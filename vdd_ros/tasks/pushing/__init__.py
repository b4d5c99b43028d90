"""Pushing, a task of D3IL: the simulation, its demonstrator, its picture and its published figures."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.chunk_preset import chunked_mlp
from vdd_ros.tasks.pushing.demonstrator import demonstrate, demonstrate_part
from vdd_ros.tasks.pushing.sim import MODE_NAMES, SPEC, PushingSim, draw_cubes
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Published, Task


def _scene() -> Scene:
    from vdd_ros.tasks.pushing.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/pushing.yaml")


TASK = Task(
    spec=SPEC,
    make_sim=PushingSim,
    demonstrate=demonstrate,
    default_demonstrations=2000,
    scene=_scene,
    robot_file=_robot_file,
    contexts=draw_cubes,
    test_contexts=60,
    demonstrate_part=demonstrate_part,
    published={  # of VDD's paper, all with GPT backbones
        "ddpm": Published(0.74),
        "beso": Published(0.78),
        "ddpm-1": Published(0.0),
        "beso-1": Published(0.70),
        "cd": Published(0.66, 0.05),
        "ctm": Published(0.80, 0.07),
        "em": Published(0.16),
        "imc": Published(0.76),
        "vdd-ddpm": Published(0.61, 0.04),
        "vdd-beso": Published(0.85, 0.02),
    },
    mode_names=MODE_NAMES,
    presets={"mlp": chunked_mlp(teacher_steps=16_000, vdd_steps=4_000, mixture_steps=8_000)},
    default_preset="mlp",
)
