"""Pushing, a task of D3IL: the simulation, its demonstrator, its picture and its published figures."""

from pathlib import Path

from vdd_ros import resources
from vdd_ros.tasks.pushing.demonstrator import demonstrate, demonstrate_part
from vdd_ros.tasks.pushing.sim import MODE_NAMES, SPEC, PushingSim, draw_cubes
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.task import Published, Task


def _scene() -> Scene:
    from vdd_ros.tasks.pushing.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/pushing.yaml")


# Chunks of four actions and many passes over the 471,000 pairs; without, a teacher succeeds half as often.
_SIZE = {"width": 256, "batch": 1024}
_MLP: dict[str, dict[str, object]] = {
    "train": {"backbone": "mlp", "history": 2, "horizon": 4, "levels_per_state": 1, **_SIZE, "steps": 16_000},
    "vdd": {"backbone": "mlp", "layers": 3, **_SIZE, "steps": 4_000, "pool_copies": 1, "pool_samples": 2},
    "em": {"backbone": "mlp", "layers": 3, "history": 2, "horizon": 4, **_SIZE, "steps": 8_000},
    "imc": {"backbone": "mlp", "layers": 3, "history": 2, "horizon": 4, **_SIZE, "steps": 8_000},
}

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
    presets={"mlp": _MLP},
    default_preset="mlp",
)
