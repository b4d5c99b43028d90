"""check_format: it accepts npz and a stranger's format, and names each fault of a format that has one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats import FORMATS, Format, get_format
from vdd_ros.errors import ConformanceError, DemonstrationError
from vdd_ros.features import Feature
from vdd_ros.testing.formats import check_format, made_up

ARRAYS = ("observation", "action", "lengths", "modes", "contexts")


def probe(path: Path) -> bool:
    return path.suffix == ".json" and path.read_bytes().startswith(b'{"vdd_ros": 1')


def read(path: Path) -> DemonstrationSet:
    """Read a set kept as JSON, whose numbers come back to the bit."""
    try:
        fields = json.loads(path.read_text())
        arrays = {name: np.array(fields[name]) for name in ARRAYS}
        header: dict[str, Any] = {
            key: tuple(Feature(*pair) for pair in value) if isinstance(value, list) else value
            for key, value in fields["h"].items()
        }
        arrays["contexts"] = arrays["contexts"].reshape(len(arrays["lengths"]), -1)
        return DemonstrationSet(Header(**header), **arrays)  # type: ignore[arg-type]
    except (KeyError, ValueError) as error:
        raise DemonstrationError(f"'{path}' is damaged ({error}); take another copy") from error


def write(demonstrations: DemonstrationSet, folder: Path) -> Path:
    if demonstrations.arrays:
        raise DemonstrationError("this format holds no arrays; leave them out")
    return write_numbers(demonstrations, folder)


def write_numbers(demonstrations: DemonstrationSet, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(demonstrations, name).tolist() for name in ARRAYS}
    (folder / "set.json").write_text(json.dumps({"vdd_ros": 1, "h": demonstrations.header.to_dict(), **arrays}))
    return folder / "set.json"


GOOD = Format("JSON", probe, read, write)


@pytest.mark.parametrize("name", [name for name in FORMATS.names() if get_format(name).write is not None])
def test_the_formats_that_write_conform(tmp_path: Path, name: str) -> None:
    check_format(get_format(name), tmp_path)


def test_a_format_of_another_package_conforms(tmp_path: Path) -> None:
    check_format(GOOD, tmp_path)


def test_one_that_only_reads_is_checked_with_a_sample(tmp_path: Path) -> None:
    sample = write(made_up()[0], tmp_path)
    check_format(replace(GOOD, write=None), tmp_path / "W", sample)
    with pytest.raises(ConformanceError, match="cannot write; give check_format a sample"):
        check_format(replace(GOOD, write=None), tmp_path / "V")


def rounded(made: DemonstrationSet, folder: Path) -> Path:
    return write(replace(made, action=made.action.round(3)), folder)


def anonymous(made: DemonstrationSet, folder: Path) -> Path:
    return write(replace(made, header=replace(made.header, source="somebody")), folder)


def careless(path: Path) -> DemonstrationSet:
    fields: dict[str, Any] = json.loads(path.read_text())
    assert fields
    return read(path)


def raising(path: Path) -> bool:
    return bool(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": lambda path: path.is_file()}, "claims 'empty'"),
        (
            {"probe": lambda path: probe(path) or path.name == "demonstrations.npz"},
            "claims 'demonstrations.npz'",
        ),
        ({"probe": lambda path: False}, "does not recognise 'set.json', which it wrote itself"),
        ({"probe": raising}, "probe raises IsADirectoryError"),
        ({"write": rounded}, "returns other numbers as 'action' than were written"),
        ({"write": anonymous}, "returns the header"),
        ({"read": careless}, "raises JSONDecodeError .* must raise DemonstrationError"),
        ({"description": ""}, "has no description"),
        (
            {"write": write_numbers},
            r"does not restore the set with x \(m\), still \(rad\), float32 grid .* that it wrote",
        ),
    ],
)
def test_a_fault_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_format(replace(GOOD, **changes), tmp_path)


MARK = b"prefixed"


def prefixed(change: Callable[[DemonstrationSet], DemonstrationSet]) -> Format:
    """Return a format that keeps arrays: npz behind a mark, after a change."""
    npz = get_format("npz")

    def written(made: DemonstrationSet, folder: Path) -> Path:
        assert npz.write is not None
        whole = npz.write(change(made), folder).read_bytes()
        (folder / "demonstrations.npz").unlink()
        (folder / "set.bin").write_bytes(MARK + whole)
        return folder / "set.bin"

    def found(path: Path) -> DemonstrationSet:
        content = path.parent / "content.npz"
        content.write_bytes(path.read_bytes()[len(MARK) :])
        return npz.read(content)

    return Format("npz with a prefix", lambda path: path.is_file() and path.read_bytes()[:8] == MARK, found, written)


def test_a_format_that_keeps_arrays_conforms(tmp_path: Path) -> None:
    check_format(prefixed(lambda made: made), tmp_path)


def through_float(made: DemonstrationSet) -> DemonstrationSet:
    with np.errstate(invalid="ignore"):
        return replace(made, arrays={name: v.astype("f4").astype(v.dtype) for name, v in made.arrays.items()})


def flat(made: DemonstrationSet) -> DemonstrationSet:
    return replace(made, arrays={n: np.sort(v.reshape(15, -1)).reshape(v.shape) for n, v in made.arrays.items()})


def exchanged(made: DemonstrationSet) -> DemonstrationSet:
    """Give an image its rows for its columns."""
    return replace(made, arrays={n: v[:, ::-1] if v.ndim == 4 else v for n, v in made.arrays.items()})


def sorted_by_name(made: DemonstrationSet) -> DemonstrationSet:
    observation = tuple(sorted(made.header.observation, key=lambda one: (len(made.arrays) > 1, one.name)))
    if len(made.arrays) < 2:
        return made
    arrays = {one.name: made.arrays[one.name] for one in observation if one.name in made.arrays}
    return replace(made, header=replace(made.header, observation=observation), arrays=arrays)


def only_with_numbers(made: DemonstrationSet) -> DemonstrationSet:
    if not made.header.vector:
        raise ValueError("need at least one array to stack")
    return made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (through_float, r"int32 grid .* returns another array 'int32 grid' than was written"),
        (flat, "returns another array 'float32 grid' than was written"),
        (exchanged, "returns another array 'image' than was written"),
        (sorted_by_name, "returns the header"),
        (only_with_numbers, r"raises ValueError \(need at least one array to stack\) for the set with uint8 grid"),
    ],
)
def test_an_array_that_does_not_come_back_is_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(ConformanceError, match=message):
        check_format(prefixed(change), tmp_path)


def test_a_refused_set_leaves_no_file(tmp_path: Path) -> None:
    def late(made: DemonstrationSet, folder: Path) -> Path:
        path = write_numbers(made, folder)
        if made.arrays:
            raise DemonstrationError("this format holds no arrays; leave them out")
        return path

    careless_format = replace(GOOD, write=late, probe=lambda path: path.is_dir() and (path / "set.json").is_file())
    reading = replace(careless_format, read=lambda path: read(path / "set.json"), write=lambda *a: late(*a).parent)
    with pytest.raises(ConformanceError, match=r"refuses the set with .*, but leaves one behind"):
        check_format(reading, tmp_path)
