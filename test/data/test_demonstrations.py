"""Demonstration sets: files that come back as they were or are refused, and windows against a naive loop."""

import contextlib
import io
import json
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import two_doors

from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature

OBSERVATION = (Feature("x", "m"), Feature("v", "m/s"), Feature("w", "rad"))
HEADER = Header("toy", OBSERVATION, (Feature("dx", "m"), Feature("dy", "m")), 20.0, "a test", 3)
LENGTHS = (4, 1, 6)


def toy(**changes: Any) -> DemonstrationSet:
    random = np.random.default_rng(0)
    values: dict[str, Any] = {
        "header": HEADER,
        "observation": random.normal(size=(11, 3)),
        "action": random.normal(size=(11, 2)),
        "lengths": np.array(LENGTHS),
        "modes": np.array([2, -1, 0]),
    }
    return DemonstrationSet(**values | changes)


def saved(folder: Path, **changes: Any) -> Path:
    """Write a file by hand, with members replaced; None leaves a member out."""
    demonstrations = toy()
    members: dict[str, Any] = {
        "header": np.array(json.dumps({"format_version": 1, **demonstrations.header.to_dict()})),
        **{name: getattr(demonstrations, name) for name in ("observation", "action", "lengths", "modes")},
    }
    members = {name: value for name, value in (members | changes).items() if value is not None}
    np.savez_compressed(folder / FILE_NAME, **members)
    return folder


def test_a_set_comes_back_as_it_was(tmp_path: Path) -> None:
    demonstrations = toy()
    file = demonstrations.save(tmp_path / "new" / "folder")
    for place in (file, file.parent):
        back = DemonstrationSet.load(place)
        assert back.header == demonstrations.header
        for name in ("observation", "action", "lengths", "modes"):
            assert np.array_equal(getattr(back, name), getattr(demonstrations, name))
        assert back.sha256 == demonstrations.sha256


def example(words: str) -> str:
    """Return the one example of docs/tasks.md that has these words."""
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    (found,) = [block for block in re.findall("```python\n(.*?)```", page, re.DOTALL) if words in block]
    return str(found)


def test_the_example_of_the_docs_is_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(example("DemonstrationSet("), {})
    assert DemonstrationSet.load(tmp_path / "mine").lengths.tolist() == [30, 20]


def test_the_example_of_the_docs_trains_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    exec(example("DemonstrationSet("), {})
    exec(example("Trainer("), {})
    assert (tmp_path / "teacher" / "model.safetensors").exists()


def test_a_file_written_by_hand_is_read(tmp_path: Path) -> None:
    assert DemonstrationSet.load(saved(tmp_path)).sha256 == toy().sha256


def test_the_digest_changes_with_any_number_and_with_the_header() -> None:
    digests = {toy().sha256}
    for name in ("observation", "action"):
        for index in np.ndindex(getattr(toy(), name).shape):
            values = getattr(toy(), name).copy()
            values[index] = np.nextafter(values[index], np.inf)
            digests.add(toy(**{name: values}).sha256)
    digests.add(toy(modes=np.array([2, -1, 1])).sha256)
    digests.add(toy(lengths=np.array([5, 1, 5])).sha256)
    headers = (replace(HEADER, task="other"), replace(HEADER, rate_hz=21.0), replace(HEADER, seed=4))
    digests |= {toy(header=header).sha256 for header in headers}
    assert len(digests) == 1 + 33 + 22 + 1 + 1 + 3
    assert toy().sha256 in digests


@pytest.mark.parametrize("history", [1, 2, 5])
@pytest.mark.parametrize("horizon", [1, 3])
def test_windows_are_those_of_a_naive_loop(history: int, horizon: int) -> None:
    demonstrations = toy()
    observations, actions = [], []
    start = 0
    for length in LENGTHS:
        for step in range(length - horizon + 1):
            past = [max(step - back, 0) for back in reversed(range(history))]
            observations.append([demonstrations.observation[start + index] for index in past])
            actions.append([demonstrations.action[start + step + ahead] for ahead in range(horizon)])
        start += length
    observation, action = demonstrations.windows(history, horizon)
    assert observation.dtype == action.dtype == np.float32
    assert np.array_equal(observation, np.array(observations, dtype=np.float32))
    assert np.array_equal(action, np.array(actions, dtype=np.float32))


def test_a_horizon_beyond_every_episode_is_refused() -> None:
    with pytest.raises(DemonstrationError, match="no episode has 7 actions"):
        toy().windows(1, 7)


@pytest.mark.parametrize(("history", "horizon"), [(0, 1), (1, 0), (1, -1)])
def test_windows_of_nothing_are_refused(history: int, horizon: int) -> None:
    with pytest.raises(
        DemonstrationError, match=f"history is {history} and horizon {horizon}; both must be at least 1"
    ):
        toy().windows(history, horizon)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation": np.zeros((10, 3))}, "'observation' has shape"),
        ({"observation": np.zeros((11, 4))}, "'observation' has shape"),
        ({"action": np.zeros((11, 3))}, "'action' has shape"),
        ({"modes": np.zeros(2, dtype=np.int64)}, "'modes' has shape"),
        ({"lengths": np.array([4, 0, 7])}, "without a pair"),
        ({"lengths": np.array([LENGTHS]), "modes": np.zeros((1, 3), np.int64)}, "'lengths' has shape .*one number per"),
        ({"observation": [[0.0] * 3] * 11}, "'observation' is a list, not an array of numpy; convert it with numpy.as"),
        ({"lengths": list(LENGTHS)}, "'lengths' is a list, not an array"),
        ({"contexts": None}, "'contexts' is a NoneType, not an array"),
        ({"observation": np.full((11, 3), np.nan)}, "'observation' is not finite in 11 pairs, first in pair 0"),
        ({"action": np.full((11, 2), np.inf)}, "not finite"),
        (
            {
                "lengths": np.array([], dtype=np.int64),
                "modes": np.array([], dtype=np.int64),
                "observation": np.zeros((0, 3)),
                "action": np.zeros((0, 2)),
            },
            "no episode",
        ),
    ],
)
def test_arrays_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DemonstrationError, match=message):
        toy(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"observation": np.zeros((11, 3), np.float32)},
            r"'observation' is float32, not float64; .*astype\('float64'\)",
        ),
        ({"lengths": np.array(LENGTHS, np.int32)}, "'lengths' is int32, not int64"),
        ({"header": replace(HEADER, task="")}, "wrong header are not written: its task is ''"),
        ({"header": replace(HEADER, rate_hz=0.0)}, "wrong header are not written: its rate_hz is 0"),
        ({"header": replace(HEADER, action=(Feature("dx", "m"), Feature("dx", "m")))}, "has the entry 'dx' twice"),
    ],
)
def test_unreadable_headers_are_not_written(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DemonstrationError, match=message):
        toy(**changes).save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="vdd demos"):
        DemonstrationSet.load(tmp_path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = toy().save(tmp_path).read_bytes()
    for size in range(0, len(content), 50):
        (tmp_path / FILE_NAME).write_bytes(content[:size])
        with pytest.raises(DemonstrationError, match="truncated"):
            DemonstrationSet.load(tmp_path)


def test_every_damaged_byte_is_refused_or_harmless(tmp_path: Path) -> None:
    content = toy().save(tmp_path).read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        (tmp_path / FILE_NAME).write_bytes(damaged)
        with contextlib.suppress(DemonstrationError):
            assert DemonstrationSet.load(tmp_path).sha256 == toy().sha256


def test_another_version_is_refused(tmp_path: Path) -> None:
    header = np.array(json.dumps({"format_version": 2, **HEADER.to_dict()}))
    with pytest.raises(DemonstrationError, match="format version 2; this version of vdd_ros reads 1"):
        DemonstrationSet.load(saved(tmp_path, header=header))


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was executed",)


def test_pickled_content_is_refused_and_not_executed(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="not a readable demonstration set"):
        DemonstrationSet.load(saved(tmp_path, modes=np.array([Bomb()], dtype=object)))
    for name in (FILE_NAME, "avoiding.pkl"):
        for protocol in (0, 2, 4, 5):
            (tmp_path / name).write_bytes(pickle.dumps(Bomb(), protocol))
            with pytest.raises(DemonstrationError, match=r"a pickle, .*which is never opened|not a readable"):
                DemonstrationSet.load(tmp_path / name)


def test_one_bare_array_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / FILE_NAME, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DemonstrationError, match="a single array of numpy"):
        DemonstrationSet.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"action": None}, "action"),
        ({"header": None}, "header"),
        ({"header": np.array("no JSON")}, "is not JSON"),
        ({"header": np.array('{"task": "a", "task": "b"}')}, "is duplicated"),
        ({"header": np.array("[" * 10_000)}, "nested too deep"),
        ({"header": np.array([b"{}"])}, "its header is not a text"),
        ({"header": np.array("x" * 300_000)}, "its header is not a text of at most 262,144 characters"),
        ({"surprise": np.zeros(3)}, r"holds 'surprise\.npy', which is not part of demonstrations"),
        ({"modes": np.array([2, -2, 0])}, "has the mode -2"),
        ({"modes": np.array([2, -1])}, "has 3 lengths, but 2 modes"),
        ({"action": np.zeros((10, 2))}, "has 11 observations, but 10 actions"),
        ({"observation": np.zeros(11)}, "must have two axes"),
        ({"lengths": np.array([4, 1, 7])}, "do not add up to its 11 pairs"),
        ({"lengths": np.array([12, -2, 1])}, "do not add up"),
        ({"lengths": np.array([2**62, 2**62, 2**62, 2**62 + 11]), "modes": np.zeros(4, int)}, "do not add up"),
        ({"header": np.array("[1]")}, "not a JSON object"),
        ({"header": np.array('{"format_version": 1}')}, "malformed header"),
        (
            {"header": np.array(json.dumps({"format_version": 1, **HEADER.to_dict(), "colour": "red"}))},
            "malformed header",
        ),
        ({"lengths": np.array([4.0, 1.0, 6.0])}, "'lengths' is float64, not int64"),
        ({"observation": np.zeros((11, 3), dtype=np.complex128)}, "'observation' is complex128, not float64"),
        ({"observation": np.full((11, 3), np.nan)}, "not finite"),
    ],
)
def test_members_that_are_missing_or_of_another_kind_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(saved(tmp_path, **changes))


def test_a_failing_write_leaves_the_set_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = toy().save(tmp_path).read_bytes()

    def half_written(file: Any, **_: Any) -> None:
        file.write(b"PK half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", half_written)
    with pytest.raises(OSError, match="No space left"):
        toy(modes=np.array([1, 1, 1])).save(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert DemonstrationSet.load(tmp_path).sha256 == toy().sha256


def with_header(**changes: Any) -> Any:
    fields = {"format_version": 1, **HEADER.to_dict(), **changes}
    return np.array(json.dumps({name: value for name, value in fields.items() if value != "left out"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": 5}, "its task is '5', not a text"),
        ({"task": ""}, "its task is ''"),
        ({"source": "x" * 2_000}, "its source is"),
        ({"source": "left out"}, "it lacks source"),
        ({"rate_hz": 0}, "its rate_hz is 0, not a number above 0"),
        ({"rate_hz": "20"}, "its rate_hz is 20"),
        ({"rate_hz": float("nan")}, "its rate_hz is nan"),
        ({"rate_hz": True}, "its rate_hz is True"),
        ({"rate_hz": 1e300}, "up to 1,000,000"),
        ({"seed": 1.5}, "its seed is 1.5"),
        ({"seed": "3"}, "its seed is 3"),
        ({"observation": {}}, "its observation is not a list"),
        ({"observation": []}, "its observation is not a list"),
        ({"observation": ["xm", "vm", "wr"]}, "holds xm, not a pair"),
        ({"observation": [["x", "m"], ["x", "m"], ["w", "rad"]]}, "has the entry 'x' twice"),
        ({"action": [["dx", 1], ["dy", "m"]]}, "not a pair of name and unit"),
        ({"action": [["dx"], ["dy"]]}, "not a pair of name and unit"),
        ({"action": [["d" * 300, "m"], ["dy", "m"]]}, "not a pair of name and unit"),
        ({"format_version": True}, "has format version True"),
        ({"task": "a", "\x1b[31m": 1}, r"unknown field \\x1b\[31m"),
    ],
)
def test_a_header_field_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DemonstrationError, match=message):
        DemonstrationSet.load(saved(tmp_path, header=with_header(**changes)))


def claiming(folder: Path, shape: tuple[int, ...], name: str, kind: str = "<f8", **entry: Any) -> Path:
    """Write a set in which the header of an array claims a shape that its 8 bytes do not have."""
    saved(folder)
    with zipfile.ZipFile(folder / FILE_NAME) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    text = repr({"descr": kind, "fortran_order": False, "shape": shape} | entry).ljust(117) + "\n"
    members[f"{name}.npy"] = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(8)
    with zipfile.ZipFile(folder / FILE_NAME, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder


@pytest.mark.parametrize("name", ["observation", "action"])
@pytest.mark.parametrize("shape", [(10**12, 3), (2**62, 4), (-1, -1), (0, 10**18), (1,) * 30])
def test_a_shape_that_does_not_exist_is_refused_before_memory_is_taken(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(DemonstrationError, match=r"states the shape .* but has 8 bytes|two axes"):
        DemonstrationSet.load(claiming(tmp_path, shape, name))


@pytest.mark.parametrize("name", ["lengths", "modes"])
def test_a_number_of_episodes_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DemonstrationError, match=r"states the shape \(1000000000000,\)"):
        DemonstrationSet.load(claiming(tmp_path, (10**12,), name, "<i8"))


def test_python_objects_are_refused_by_the_header_alone(tmp_path: Path) -> None:
    with pytest.raises(DemonstrationError, match="holds Python objects, which are never loaded"):
        DemonstrationSet.load(claiming(tmp_path, (1,), "modes", "|O"))


def test_arrays_beyond_the_limit_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vdd_ros.data.formats.npz.MAX_BYTES", 500)
    with pytest.raises(DemonstrationError, match=r"its arrays have .* bytes; at most 500 are read"):
        DemonstrationSet.load(saved(tmp_path))


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return content.getvalue()


FOREIGN: list[tuple[str, dict[str, bytes], str]] = [
    (
        "lerobot_old",
        {"meta/info.json": b'{"codebase_version": "v2.0", "total_episodes": 2}', "meta/episodes.jsonl": b"{}"},
        r"is a LeRobot data set, version v2\.0; convert it",
    ),
    ("low_dim.hdf5", {"": b"\x89HDF\r\n\x1a\n rest"}, "is an HDF5 file, but damaged or neither robomimic's nor"),
    ("robomimic", {"low_dim_v15.hdf5": b"\x89HDF\r\n\x1a\n"}, "is a folder of HDF5 files; name one"),
    ("minari", {"data/metadata.json": b"{}"}, r"is a data set of Minari that is neither HDF5 .* nor Arrow"),
    (
        "pusht.zarr",
        {".zgroup": b"{}", "data/action/0": b""},
        "is a zarr store, but without Diffusion Policy's episodes",
    ),
    ("pusht3.zarr", {"zarr.json": b"{}"}, "is a zarr store"),
    ("around", {"pusht.zarr/.zgroup": b"{}"}, "is a folder around a zarr store"),
    ("umi.zarr.zip", {"": zipped(".zgroup", "data/action/.zarray")}, "is a zarr store in a zip file"),
    ("d3il", {"env_0001_00.pkl": b"\x80\x04."}, "is a folder of pickles: .*never opened"),
    ("env_0001_00.pkl", {"": b"\x80\x04."}, "is a pickle, .*which is never opened"),
    ("weights.pt", {"": zipped("archive/data.pkl", "archive/data/0")}, "is a file of torch.save"),
    ("bag", {"metadata.yaml": b"rosbag2_bagfile_information: {}", "bag.mcap": b""}, "is a bag"),
    ("cut_bag", {"bag.mcap": b"\x89MCAP0\r\n"}, "is a bag .*without metadata.yaml; 'vdd bag mend'"),
    ("bag.mcap", {"": b"\x89MCAP0\r\n"}, r"is a bag \(mcap\)"),
    ("bag.db3", {"": b"SQLite format 3\x00 "}, "is an SQLite file, as bags"),
    ("old.bag", {"": b"#ROSBAG V2.0\n"}, "is a bag of ROS 1"),
    (
        "policy.onnx",
        {"": b"\x08\x08\x12\x07pytorch"},
        "is an ONNX file, not demonstrations; `vdd run",
    ),
    ("checkpoint", {"model.safetensors": b"", "model.json": b"{}"}, "a checkpoint without demonstrations"),
    ("frames.parquet", {"": b"PAR1"}, "is a Parquet file, as LeRobot"),
    ("other.npz", {"": zipped("obs.npy", "\x1b[2J.npy")}, r"with the arrays obs, \\x1b\[2J"),
]


@pytest.mark.parametrize(("name", "files", "message"), FOREIGN, ids=[name for name, _, _ in FOREIGN])
def test_data_of_other_programs_are_named(tmp_path: Path, name: str, files: dict[str, bytes], message: str) -> None:
    """With what can be done, by every command that takes demonstrations, and without a pickle being opened."""
    for below, content in files.items():
        file = tmp_path / name / below if below else tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    with pytest.raises(DemonstrationError, match=f"{message}.*DemonstrationSet"):
        DemonstrationSet.load(tmp_path / name)


def test_sets_of_different_headers_are_not_joined() -> None:
    sets = [two_doors.demonstrate(1, seed) for seed in (0, 1)]
    with pytest.raises(DemonstrationError, match="different headers"):
        DemonstrationSet.joined(sets)
