"""Aligning, a task of D3IL: the simulation, its demonstrator, its picture and its published figures."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.aligning.demonstrator import demonstrate, demonstrate_part
from vdd_ros.tasks.aligning.sim import MODE_NAMES, SPEC, AligningSim, draw_poses
from vdd_ros.tasks.chunk_preset import chunked_mlp
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Published, Task


def _scene() -> Scene:
    from vdd_ros.tasks.aligning.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/aligning.yaml")


TASK = Task(
    spec=SPEC,
    make_sim=AligningSim,
    demonstrate=demonstrate,
    default_demonstrations=1000,
    scene=_scene,
    robot_file=_robot_file,
    contexts=draw_poses,
    test_contexts=60,
    demonstrate_part=demonstrate_part,
    published={  # of VDD's paper, all with GPT backbones
        "ddpm": Published(0.85),
        "beso": Published(0.85),
        "ddpm-1": Published(0.0),
        "beso-1": Published(0.93),
        "cd": Published(0.94, 0.08),
        "ctm": Published(0.81, 0.11),
        "em": Published(0.78),
        "imc": Published(0.83),
        "vdd-ddpm": Published(0.70, 0.07),
        "vdd-beso": Published(0.86, 0.04),
    },
    mode_names=MODE_NAMES,
    presets={"mlp": chunked_mlp(teacher_steps=16_000, vdd_steps=4_000, mixture_steps=4_000)},
    default_preset="mlp",
)
