"""`vdd robot schema` prints or writes what the room robot/ makes."""

import json
from pathlib import Path

import pytest

from vdd_ros.cli.main import main
from vdd_ros.robot.json_schema import robot_file_schema


def test_the_schema_is_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robot", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(robot_file_schema())
    file = tmp_path / "new" / "robot_file.schema.json"
    assert main(["robot", "schema", "--out", str(file)]) == 0
    assert file.read_text() == robot_file_schema()
    assert f"# yaml-language-server: $schema={file}" in capsys.readouterr().out
