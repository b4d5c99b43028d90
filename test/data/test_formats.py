"""Formats of demonstrations: recognised by content, added by other packages."""

from pathlib import Path

import numpy as np
import pytest
from plugins import install, installed

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats import FORMATS, format_names, get_format
from vdd_ros.errors import DemonstrationError, PluginError
from vdd_ros.features import Feature
from vdd_ros.tasks import get_task

SOURCE = """
import numpy as np
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats import Format
from vdd_ros.features import Feature

MARK = "# pairs of x and dx"

def probe(path):
    return path.suffix == ".csv" and path.read_text().startswith(MARK)

def read(path):
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    header = Header("mine", (Feature("x", "m"),), (Feature("dx", "m"),), 10.0, "a table")
    lengths, modes = np.array([len(table)]), np.array([-1])
    return DemonstrationSet(header, table[:, :1].copy(), table[:, 1:].copy(), lengths, modes)

FORMAT = Format("a table of text", probe, read)
"""


def test_shipped_formats_are_known_by_name() -> None:
    assert {"npz", "lerobot", "robomimic"} <= set(format_names())
    assert get_format("npz").description == "an .npz archive of vdd_ros"
    with pytest.raises(
        DemonstrationError, match=r"unknown demonstration format 'nps'; known: .*npz.*; did you mean 'npz'"
    ):
        get_format("nps")


def test_a_format_of_another_package_is_found_by_what_is_in_the_file(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("# pairs of x and dx\n0.0,0.5\n0.5,0.25\n")
    with pytest.raises(DemonstrationError, match="is a table of text"):
        DemonstrationSet.load(table)
    with installed(FORMATS, tmp_path / "site", "table", SOURCE, "FORMAT"):
        assert {"npz", "table"} <= set(format_names())
        found = DemonstrationSet.load(table)
    assert found.file == table
    assert found.action.tolist() == [[0.5], [0.25]]


def test_our_own_files_are_read_before_others_are_asked(tmp_path: Path) -> None:
    header = Header("toy", (Feature("x", "m"),), (Feature("dx", "m"),), 10.0, "a test")
    made = DemonstrationSet(header, np.zeros((2, 1)), np.ones((2, 1)), np.array([2]), np.array([0]))
    file = made.save(tmp_path / "D")
    greedy = SOURCE.replace("return path.suffix", "return True or path.suffix")
    with installed(FORMATS, tmp_path / "site", "greedy", greedy, "FORMAT"):
        assert DemonstrationSet.load(file).sha256 == DemonstrationSet.load(tmp_path / "D").sha256 == made.sha256


def test_a_broken_format_matters_only_for_data_that_no_other_recognises(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("# pairs of x and dx\n0.0,0.5\n0.5,0.25\n")
    (tmp_path / "other.csv").write_text("1,2\n")
    FORMATS.forget()
    install(tmp_path, "broken_format", FORMATS.group, {"broken": "broken_format:FORMAT"}, "import nowhere")
    with installed(FORMATS, tmp_path, "table", SOURCE, "FORMAT"):
        assert DemonstrationSet.load(tmp_path / "mine.csv").action.tolist() == [[0.5], [0.25]]
        with pytest.raises(PluginError, match=r"other.csv', and .*'broken' of broken_format 1.2 cannot be"):
            DemonstrationSet.load(tmp_path / "other.csv")


def test_a_probe_that_fails_matters_only_for_data_that_no_other_recognises(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("1,2\n")
    made = get_task("avoiding").demonstrate(1, 0, lambda: None)
    foreign = get_format("lerobot").write(made, tmp_path / "R")  # type: ignore[misc]
    failing = SOURCE.replace("return path.suffix", "return 1 / 0 or path.suffix")
    with installed(FORMATS, tmp_path / "site", "failing", failing, "FORMAT"):
        assert DemonstrationSet.load(foreign).lengths.tolist() == made.lengths.tolist()
        with pytest.raises(PluginError, match=r"other.csv', and the probe of format 'failing' fails: ZeroDivision"):
            DemonstrationSet.load(tmp_path / "other.csv")
