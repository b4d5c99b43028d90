"""Files given to the wrong command are identified, with the command that takes them; nothing is written."""

import re
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from foreign_things import write_things

from vdd_ros.cli.main import main
from vdd_ros.file_kinds import FileKind, file_kind, misplaced

COMMANDS = {
    "from-bags": "demos from-bags X --robot {robot} --out {out}",
    "convert": "demos convert X --to npz --out {out}",
    "info": "demos info X",
    "new": "robot new --bag X --out {out}",
    "check": "robot check X --bag {bag}",
    "check bag": "robot check {robot} --bag X",
    "check policy": "robot check {robot} --bag {bag} --policy X",
    "run": "run --robot {robot} --policy X",
    "run robot": "run --robot X --policy {policy}",
    "wrap": "wrap X --spec {spec} --out {out}",
    "wrap spec": "wrap {graph} --spec X --out {out}",
    "latency": "latency X",
    "mend": "bag mend X",
}
PAIRS = [
    ("from-bags", "lerobot", "is a LeRobot data set, not a bag; `vdd train --demos` takes it, and `vdd demos convert`"),
    ("from-bags", "zarr", "is a zarr store, as Diffusion Policy keeps it, not a bag; `vdd train --demos` takes it"),
    ("from-bags", "minari", "is a data set of Minari, not a bag"),
    ("from-bags", "hdf5", "is a data set in HDF5, as robomimic and Minari keep it, not a bag; `vdd train --demos`"),
    ("from-bags", "robot", "is a robot file, not a bag; `vdd run --robot`"),
    ("from-bags", "policy", "is a policy file, not a bag; `vdd run --policy`"),
    ("new", "lerobot", "is a LeRobot data set, not a bag"),
    ("new", "description", "is a description of a data set, not a bag"),
    ("check bag", "lerobot", "is a LeRobot data set, not a bag"),
    ("check bag", "graph", "is an ONNX graph of another tool, not a bag; `vdd wrap` makes a policy file from it"),
    ("latency", "minari", "is a data set of Minari, not a bag"),
    ("mend", "safetensors", "is a file of weights (safetensors), without a graph, not a bag"),
    ("convert", "bag", "is a bag (rosbag2); 'vdd demos from-bags' makes demonstrations from it"),
    ("convert", "robot", "is a robot file, not demonstrations"),
    ("convert", "controllers", "is a file for ros2_control's controllers, not demonstrations"),
    ("convert", "policy", "`vdd run --policy` takes a policy file, `vdd wrap` another tool's graph"),
    ("info", "spec", "is a description of a graph, not demonstrations; `vdd wrap --spec` takes it"),
    ("info", "weights", "is a checkpoint without demonstrations; name its training data"),
    (
        "check",
        "controllers",
        "is a file for ros2_control's controllers, which the controller manager takes; its",
    ),
    ("check", "bag", "is a bag, not a robot file; `vdd demos from-bags` makes demonstrations from it, `vdd robot new`"),
    ("check", "description", "is a description of a data set; `vdd train --demos` and `vdd demos convert` take it"),
    ("check", "spec", "is a description of a graph for `vdd wrap --spec`"),
    ("check", "policy", "is an ONNX file, not a robot file: `policy_path` takes a policy file"),
    ("check", "safetensors", "is a file of weights (safetensors), not a robot file"),
    ("run robot", "lerobot", "is a LeRobot data set, not a robot file"),
    ("check policy", "graph", "vdd wrap makes one from another tool's deterministic graph"),
    ("check policy", "robot", "is a robot file, not a policy file; `vdd run --robot`"),
    ("check policy", "bag", "is a bag, not a policy file"),
    ("run", "graph", "is an ONNX graph of another tool, not a policy file; `vdd wrap` makes a policy file from it"),
    ("run", "robot", "is a robot file, not a policy file"),
    ("run", "weights", "is a model of another program (config.json beside model.safetensors"),
    ("run", "safetensors", "is a file of weights (safetensors), without a graph, not a policy file"),
    ("wrap", "robot", "is a robot file, not an ONNX graph"),
    ("wrap", "weights", "is a model of another program"),
    ("wrap", "hdf5", "is not an ONNX graph: it is an HDF5 file"),
    ("wrap spec", "robot", "is a robot file, not a description of a graph"),
    ("wrap spec", "controllers", "is a file for ros2_control's controllers, not a description of a graph"),
]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_things(tmp_path_factory.mktemp("things"))


@pytest.mark.parametrize(("command", "thing", "message"), PAIRS, ids=[f"{pair[0]}-{pair[1]}" for pair in PAIRS])
def test_it_is_named_with_the_command_that_takes_it(
    command: str, thing: str, message: str, things: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command in ("wrap", "wrap spec"):
        pytest.importorskip("onnx")
    out = tmp_path / ("new.yaml" if command == "new" else "policy.onnx" if "wrap" in command else "out")
    line = COMMANDS[command].format(out=out, **things).split()
    assert main([str(things[thing]) if word == "X" else word for word in line]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert things[thing].name in error
    assert not out.exists() or not [file for file in out.rglob("*") if file.is_file()]


def test_commands_that_are_named_exist(things: dict[str, Path]) -> None:
    kinds = [kind for thing in things.values() if (kind := file_kind(thing)) is not None]
    named = {name for kind in kinds for name in re.findall(r"`vdd ([\w -]+)`", kind.use)}
    for line in named:
        with pytest.raises(SystemExit) as end:
            main([*(word for word in line.split() if not word.startswith("--")), "--help"])
        assert end.value.code == 0
    assert {"demos from-bags", "wrap", "train --demos"} <= named


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("thing", ["policy", "graph"])
def test_an_onnx_file_that_was_cut_off_has_no_kind(
    kept: float, thing: str, things: dict[str, Path], tmp_path: Path
) -> None:
    content = things[thing].read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: int(kept * len(content))])
    assert file_kind(tmp_path / "cut.onnx") is None


def test_what_cannot_be_read_has_no_kind(tmp_path: Path) -> None:
    contents = {
        "a.yaml": b"a: [",
        "b.onnx": b"",
        "c.npz": b"PK\3\4",
        "d.json": b"{",
        "e.bin": bytes(20),
        "f.yaml": b"- 1",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert file_kind(tmp_path / name) is None
    assert file_kind(tmp_path) is None
    assert misplaced(tmp_path / "nothing", "bag", "a bag") == ""
    assert isinstance(FileKind("bag", "a bag"), FileKind)
