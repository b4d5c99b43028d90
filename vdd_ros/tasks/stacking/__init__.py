"""Stacking, a task of D3IL: the simulation, its demonstrator, its picture and its published figures."""

from functools import partial
from pathlib import Path

import numpy as np

from vdd_ros import resources
from vdd_ros.tasks.base import Bools, Ints
from vdd_ros.tasks.chunk_preset import chunked_mlp
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.stacking.demonstrator import demonstrate, demonstrate_part
from vdd_ros.tasks.stacking.sim import BOXES, MODE_NAMES, SPEC, StackingSim, draw_boxes, sequence_of
from vdd_ros.tasks.task import Milestone, Published, Task


def _scene() -> Scene:
    from vdd_ros.tasks.stacking.scene import SCENE

    return SCENE


def _robot_file() -> Path:
    return resources.path("config/robots/stacking.yaml")


def _first_boxes(number: int, codes: Ints) -> tuple[Bools, Ints]:
    """Return whether so many boxes came to the target, and in which order the first ones did, in base 3."""
    sequences = [sequence_of(code)[:number] for code in codes.tolist()]
    reached = np.array([len(sequence) == number for sequence in sequences], dtype=bool)
    orders = sorted({sequence_of(code)[:number] for code in range(SPEC.modes)})
    numbers = {order: index for index, order in enumerate(orders)}
    return reached, np.array([numbers.get(sequence, -1) for sequence in sequences], dtype=np.int64)


_PUBLISHED = (  # of VDD's paper, all with GPT backbones: one box, two boxes
    {
        "ddpm": Published(0.89),
        "beso": Published(0.91),
        "ddpm-1": Published(0.0),
        "beso-1": Published(0.75),
        "cd": Published(0.69, 0.06),
        "ctm": Published(0.54, 0.17),
        "em": Published(0.58),
        "imc": Published(0.54),
        "vdd-ddpm": Published(0.81, 0.08),
        "vdd-beso": Published(0.85, 0.02),
    },
    {
        "ddpm": Published(0.68),
        "beso": Published(0.70),
        "ddpm-1": Published(0.0),
        "beso-1": Published(0.53),
        "cd": Published(0.46, 0.11),
        "ctm": Published(0.30, 0.09),
        "em": Published(0.34),
        "imc": Published(0.29),
        "vdd-ddpm": Published(0.60, 0.07),
        "vdd-beso": Published(0.57, 0.06),
    },
)

TASK = Task(
    spec=SPEC,
    make_sim=StackingSim,
    demonstrate=demonstrate,
    default_demonstrations=1095,
    scene=_scene,
    robot_file=_robot_file,
    contexts=draw_boxes,
    test_contexts=60,
    demonstrate_part=demonstrate_part,
    mode_names=MODE_NAMES,
    milestones=(
        Milestone("1 box", len(BOXES), partial(_first_boxes, 1), _PUBLISHED[0], "Stacking-1"),
        Milestone("2 boxes", SPEC.modes, partial(_first_boxes, 2), _PUBLISHED[1], "Stacking-2"),
    ),
    presets={"mlp": chunked_mlp(teacher_steps=12_000, vdd_steps=4_000, mixture_steps=6_000)},
    default_preset="mlp",
)
