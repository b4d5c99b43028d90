"""The task of a command that names none."""

from dataclasses import replace
from pathlib import Path

import pytest

from vdd_ros.errors import DemonstrationError
from vdd_ros.evaluation.compatibility import task_of
from vdd_ros.testing.formats import made_up


def test_it_is_that_of_the_demonstrations_or_the_shipped_one(tmp_path: Path) -> None:
    made = made_up()[0]
    replace(made, header=replace(made.header, task="stacking")).save(tmp_path / "D")
    assert task_of(tmp_path / "D") == "stacking"
    assert task_of(None) == "avoiding"
    with pytest.raises(DemonstrationError, match="no demonstrations"):
        task_of(tmp_path / "nowhere")
