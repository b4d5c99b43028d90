"""Demonstrations in another package's format, through training, distillation and export, only from their file."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from plugins import installed

from vdd_ros.cli.main import main
from vdd_ros.data.formats import FORMATS
from vdd_ros.learning.fit.data_link import LINK_FILE
from vdd_ros.tasks import get_task

SOURCE = '''
"""Tables of comma-separated numbers: episode, observation, action."""
import numpy as np
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.data.formats import Format
from vdd_ros.tasks import get_task

def probe(path):
    return path.suffix == ".csv" and path.read_text()[:1] == "0"

def read(path):
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    header = get_task("avoiding").demonstrate(1, 0, lambda: None).header
    lengths = np.bincount(table[:, 0].astype(int))
    return DemonstrationSet(header, table[:, 1:5].copy(), table[:, 5:].copy(), lengths, np.full(len(lengths), -1))

FORMAT = Format("comma-separated numbers", probe, read)
'''
TINY = ["--backbone", "mlp", "--batch", "8", "--width", "8", "--layers", "1", "--octaves", "1", "--steps", "2"]


def test_a_format_of_one_file_goes_through_train_distil_and_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = get_task("avoiding").demonstrate(3, 0, lambda: None)
    number = np.repeat(np.arange(3), made.lengths)[:, None]
    table = tmp_path / "mine.csv"
    np.savetxt(table, np.hstack([number, made.observation, made.action]), delimiter=",", fmt="%.17g")
    teacher, student = str(tmp_path / "T"), str(tmp_path / "S")
    train = ["train", "--task", "avoiding", "--demos", str(table), "--out", teacher, *TINY]
    assert main(train) == 2
    assert "is a table of text" in capsys.readouterr().err
    with installed(FORMATS, tmp_path / "site", "table", SOURCE, "FORMAT"):
        assert main(train) == 0
        assert json.loads((tmp_path / "T" / LINK_FILE).read_text())["path"] == "../mine.csv"
        small = ["--experts", "2", "--pool-copies", "1", "--pool-samples", "1"]
        assert main(["distil", "--teacher", teacher, "--out", student, *small, *TINY]) == 0
        assert main(["export", student, "--out", str(tmp_path / "student.onnx"), "--no-novelty"]) == 0
    assert not list(tmp_path.rglob("demonstrations.npz"))
