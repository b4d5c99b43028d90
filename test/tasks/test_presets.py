"""A task's own presets, and a training's choice among them."""

from dataclasses import replace

import pytest
import two_doors

from vdd_ros.errors import ConfigurationError, ConformanceError, TaskError
from vdd_ros.learning.methods.preset_choice import choose_preset
from vdd_ros.learning.methods.presets import TRAIN_PRESETS, VDD_PRESETS
from vdd_ros.learning.methods.registry import METHODS, teacher_method
from vdd_ros.tasks import Task, get_task
from vdd_ros.testing.tasks import check_task

TEACHER, VDD, EM = teacher_method("beso"), METHODS.get("vdd"), METHODS.get("em")
TASK = two_doors.TASK


def test_the_default_of_the_task_is_taken_and_told() -> None:
    chosen = choose_preset(TEACHER, None, TASK)
    assert chosen.settings == two_doors.SMALL
    assert chosen.note.startswith("preset small, the default of the task 'two-doors'")


def test_a_method_without_settings_in_the_default_keeps_its_own_defaults() -> None:
    chosen = choose_preset(EM, None, TASK)
    assert chosen.settings == {}
    assert chosen.note == "the task 'two-doors' has presets for this: mlp; --preset NAME takes one"


def test_presets_without_a_default_are_proposed() -> None:
    chosen = choose_preset(VDD, None, get_task("avoiding"))
    assert chosen.settings == {}
    assert "presets for this: paper-avoiding-ddpm, paper-avoiding-beso;" in chosen.note


@pytest.mark.parametrize("task", [None, TASK])
def test_no_preset_is_a_preset(task: Task | None) -> None:
    assert choose_preset(TEACHER, "none", task) == choose_preset(TEACHER, None, None)


def test_the_task_replaces_what_the_method_says() -> None:
    task = replace(TASK, presets={"mlp": {"train": {"width": 7}}}, default_preset=None)
    assert choose_preset(TEACHER, "mlp", task).settings == {**TRAIN_PRESETS["mlp"], "width": 7}
    assert choose_preset(VDD, "mlp", task).settings == VDD_PRESETS["mlp"]


def test_of_a_task_that_is_not_registered_the_method_has_presets() -> None:
    assert choose_preset(TEACHER, "mlp", None).settings == TRAIN_PRESETS["mlp"]
    with pytest.raises(ConfigurationError, match="there is no preset 'small' here; there are: mlp, paper-avoiding"):
        choose_preset(TEACHER, "small", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"default_preset": "fast"}, "has the default preset 'fast', which is none of its presets: small, mlp"),
        ({"presets": {"none": {}}, "default_preset": None}, "has a preset 'none', which stands for no preset"),
    ],
)
def test_a_task_refuses_presets_that_cannot_be_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        replace(TASK, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("presets", "message"),
    [
        (
            {"p": {"train": {"speed": 3}}},
            "whose settings of 'train' are refused: .*argument 'speed'",
        ),
        ({"p": {"vdd": {"steps": 0}}}, "whose settings of 'vdd' are refused: steps is 0"),
        ({"p": {"vd": {}}}, "whose settings of 'vd' are refused: unknown method 'vd'"),
        ({"p": {}}, "has the preset 'p' without settings, and no method has one so named"),
    ],
)
def test_the_conformance_test_tries_each_preset(presets: dict[str, dict[str, dict[str, object]]], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_task(replace(TASK, presets=presets, default_preset=None))
