"""The examples of inputs in docs/robot_file.md are read."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from input_channels import COMMAND, JOINTS

from vdd_ros.robot.robot_file import RobotFile

PAGE = (Path(__file__).parents[2] / "docs" / "robot_file.md").read_text()
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", PAGE, re.MULTILINE)]
INPUTS = [block for block in BLOCKS if block.lstrip().startswith(("inputs:", "target:"))]


def test_the_page_has_examples() -> None:
    assert len(INPUTS) >= 6


@pytest.mark.parametrize("block", INPUTS, ids=range(len(INPUTS)))
def test_an_example_is_read(block: str) -> None:
    """Beside an arm that is commanded, where it is a part of a file."""
    given: Any = yaml.safe_load(block)
    own = {"topic": "own", "type": JOINTS, "max_age_s": 0.1, "joints": {"names": ["own"], "unit": "rad"}}
    entries = [COMMAND["entries"][0] | {"measured": "own_position"}]
    robot = RobotFile.from_dict(
        {
            "inputs": {"own": own} | given.get("inputs", given),
            "commands": {"arm": COMMAND | {"entries": entries}},
        }
    )
    assert len(robot.sources) > 1
