"""Modules without memory: the same tensors by name, shape and type, and nothing of torch's compiler loaded."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
from vdd_ros.learning.fit.shapes import shapes_only
from vdd_ros.learning.students.mixture import MixtureStudent, StudentConfig
from vdd_ros.learning.students.one_step import OneStepConfig, OneStepModel

SIZES = {"history": 2, "obs_dim": 3, "horizon": 2, "act_dim": 2, "goal_length": 1, "width": 8, "heads": 2, "layers": 2}
MODELS = [
    (Teacher, TeacherConfig),
    (MixtureStudent, StudentConfig),
    (OneStepModel, partial(OneStepConfig, conditions=2, sigma_min=0.02, sigma_max=3.0, sigma_data=0.5)),
]


@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
@pytest.mark.parametrize(("make", "config"), MODELS)
def test_shapes_are_those_of_the_real_module(make: type, config: Callable[..., Any], backbone: str) -> None:
    shape = config(**SIZES, backbone=backbone)
    with shapes_only():
        empty = make(shape).state_dict()
    full = make(shape).state_dict()
    assert list(empty) == list(full)
    assert all((empty[name].shape, empty[name].dtype) == (full[name].shape, full[name].dtype) for name in full)
    assert all(tensor.device.type == "meta" for tensor in empty.values())


def test_no_compiler_is_loaded() -> None:
    code = (
        "import sys; from test_shapes import *\n"
        "for make, config in MODELS:\n"
        "    with shapes_only():\n"
        "        make(config(**SIZES))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False)
    assert done.returncode == 0
