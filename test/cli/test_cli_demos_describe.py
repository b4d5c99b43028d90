"""`vdd demos describe`: prints a description, or writes one that the other commands take."""

from pathlib import Path

import lerobot_sets
import pytest

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("pyarrow")


def test_the_command_prints_or_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lerobot_sets.write_v3(tmp_path / "arm")
    assert main(["demos", "describe", str(tmp_path / "arm")]) == 0
    assert "observation.state:  # float32, 3" in capsys.readouterr().out
    file = tmp_path / "set.yaml"
    assert main(["demos", "describe", str(tmp_path / "arm"), "--out", str(file)]) == 0
    assert f"--demos {file}" in capsys.readouterr().out
    assert DemonstrationSet.load(file).observation.shape == (12, 4)
    assert main(["demos", "describe", str(tmp_path / "arm"), "--out", str(file)]) == 2
    assert "--force" in capsys.readouterr().err
