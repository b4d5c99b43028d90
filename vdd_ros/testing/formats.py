"""Conformance test of another package's demonstration format: recognising, reading and refusing data."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats import get_format
from vdd_ros.data.formats.format import Format
from vdd_ros.errors import ConformanceError, DemonstrationError
from vdd_ros.features import DTYPES, FLOAT32, Feature, listed
from vdd_ros.text import printable

CUTS = 8
HEADER = Header(
    "conformance",
    (Feature("x", "m"), Feature("still", "rad")),
    (Feature("dx", "m"),),
    20.0,
    "made up",
    7,
    context=(Feature("start", "m"),),
)
_JUNK = {
    "empty": b"",
    "text.json": b'{"observation": []}',
    "bytes.bin": bytes(range(256)),
    "archive.npz": b"PK\x05\x06" + bytes(18),
}


def check_format(checked: Format, folder: Path, sample: Path | None = None) -> None:
    """Check a format: it recognises only its own files, restores written data, and refuses damage.

    A format that cannot hold arrays, or some of them, refuses these with DemonstrationError.

    Args:
        checked: The object of the entry point.
        folder: An empty folder to write into, such as pytest's `tmp_path`.
        sample: Data in this format; needed for a read-only one.

    Raises:
        ConformanceError: The first violation.
        DemonstrationError: The format refused its own output, or the sample.
    """
    _require(checked.description and printable(checked.description, 200) == checked.description, "has no description")
    _check_strangers(checked, folder / "others")
    if checked.write is None:
        _require(sample is not None, "cannot write; give check_format a sample of it")
    else:
        for made in made_up():
            path = _check_written(checked, checked.write, _kept(checked, made), folder)
            sample = sample or path
        _check_arrays(checked, checked.write, folder / "arrays")
    if sample is not None:
        _check_sample(checked, sample, folder / "cut")


def made_up() -> list[DemonstrationSet]:
    """Return a set with contexts, an unknown mode and an entry that never changes, and one without contexts."""
    random = np.random.default_rng(0)
    lengths, modes = np.array([5, 1, 9]), np.array([1, -1, 0])
    observation = np.stack([random.normal(size=15), np.full(15, 0.1)], axis=1)
    whole = DemonstrationSet(
        HEADER, observation, random.normal(size=(15, 1)), lengths, modes, random.normal(size=(3, 1))
    )
    plain = replace(HEADER, source="without contexts", context=(), seed=None)
    return [whole, replace(whole, header=plain, contexts=np.zeros((3, 0)))]


def with_arrays() -> list[DemonstrationSet]:
    """Return sets with an array of each number type and of several ranks, with several arrays, and with only arrays."""
    features = [Feature(f"{dtype} grid", shape=(2, 3), dtype=dtype) for dtype in DTYPES]
    features += [Feature("image", shape=(2, 3, 3), dtype="uint8"), Feature("row", "m", shape=(4,))]
    features += [Feature("gripper", shape=(), dtype="bool"), Feature("voxels", shape=(2, 1, 2, 2), dtype="int32")]
    plain = made_up()[1]
    x, still = plain.header.observation
    mixed = [_set_of([x, still, feature]) for feature in features]
    return [*mixed, _set_of([features[0], x, features[1], still]), _set_of([features[1]])]


def _set_of(observation: Sequence[Feature]) -> DemonstrationSet:
    plain = made_up()[1]
    header = replace(plain.header, source=f"with {listed(observation)}", observation=tuple(observation))
    arrays = {one.name: _values(one, len(plain.action)) for one in observation if not one.is_scalar}
    numbers = plain.observation[:, : len(observation) - len(arrays)]
    return replace(plain, header=header, observation=numbers, arrays=arrays)


def _values(feature: Feature, pairs: int) -> NDArray[Any]:
    """Return values of an array, (pairs, *shape); integers hold the extremes of their type."""
    random, shape = np.random.default_rng(1), (pairs, *feature.shape)
    if feature.dtype == FLOAT32:
        return random.normal(size=shape).astype(np.float32)
    if feature.dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(feature.dtype)
    values = random.integers(limits.min, limits.max, shape, feature.dtype, endpoint=True)
    values.reshape(-1)[:2] = limits.min, limits.max
    return values


def _kept(checked: Format, made: DemonstrationSet) -> DemonstrationSet:
    """Return a set with numbers that the format stores exactly."""
    observation, action = (values.astype(checked.dtype).astype(float) for values in (made.observation, made.action))
    return replace(made, observation=observation, action=action)


def _check_written(
    checked: Format, write: Callable[[DemonstrationSet, Path], Path], made: DemonstrationSet, folder: Path
) -> Path:
    """Write a set into an empty folder and over itself, and read it back."""
    place = folder / made.header.source.replace(" ", "_")
    path = write(made, place)
    _require(path.exists() and place in (path, *path.parents), f"wrote nothing at '{path}', which it returned")
    _check_same(checked, path, made)
    _check_same(checked, write(made, place), made)
    return path


def _check_arrays(checked: Format, write: Callable[[DemonstrationSet, Path], Path], folder: Path) -> None:
    """Check that each set with arrays is restored unchanged, or refused without leaving files."""
    for number, made in enumerate(with_arrays()):
        kept, place, what = _kept(checked, made), folder / f"{number}", listed(made.header.observation)
        try:
            path = write(kept, place)
        except DemonstrationError:  # it cannot store these
            left = place.exists() and checked.probe(place)
            _require(not left, f"refuses the set with {what}, but leaves one behind")
            continue
        except Exception as error:
            raise ConformanceError(
                f"the format raises {type(error).__name__} ({printable(error)}) for the set with {what}; it must keep "
                "arrays, or refuse to write them with DemonstrationError"
            ) from error
        try:
            _check_same(checked, path, kept)
        except (DemonstrationError, ConformanceError) as error:
            raise ConformanceError(
                f"the format does not restore the set with {what} that it wrote ({error}); it must store arrays, or "
                "refuse to write them with DemonstrationError"
            ) from error


def _require(holds: object, what: str) -> None:
    if not holds:
        raise ConformanceError(f"the format {what}")


def _check_strangers(checked: Format, folder: Path) -> None:
    """Check that it claims no foreign files, and that probing raises nothing."""
    folder.mkdir(parents=True)
    for name, content in _JUNK.items():
        (folder / name).write_bytes(content)
    (folder / "nothing").mkdir()
    paths = [folder / "nothing", *(folder / name for name in _JUNK)]
    own = get_format("npz")
    if checked is not own and own.write is not None:
        paths.append(own.write(made_up()[0], folder / "npz"))
    for path in paths:
        try:
            claims = checked.probe(path)
        except Exception as error:
            raise ConformanceError(
                f"the format's probe raises {type(error).__name__} ({printable(error)}) for '{path.name}'; it must "
                "return False for other formats"
            ) from error
        _require(not claims, f"claims '{path.name}', which is of another format")


def _check_same(checked: Format, path: Path, made: DemonstrationSet) -> None:
    _require(checked.probe(path), f"does not recognise '{path.name}', which it wrote itself")
    found = checked.read(path)
    _require(found.header == made.header, f"returns the header {found.header} instead of {made.header}")
    for name in ("observation", "action", "lengths", "modes", "contexts"):
        same = np.array_equal(getattr(found, name), getattr(made, name))
        _require(same, f"returns other numbers as '{name}' than were written")
    for name, values in made.arrays.items():
        found_values = found.arrays.get(name)
        same = found_values is not None and found_values.dtype == values.dtype and np.array_equal(found_values, values)
        _require(same, f"returns another array '{name}' than was written")
    _require(found.sha256 == made.sha256, "returns a set with another SHA-256 than was written")


def _check_sample(checked: Format, sample: Path, folder: Path) -> None:
    """Check that it reads the same twice, and refuses truncated files with VddErrors or does not recognise them."""
    _require(checked.probe(sample), f"does not recognise the sample '{sample}'")
    whole = checked.read(sample).sha256
    _require(checked.read(sample).sha256 == whole, "reads the same sample differently each time")
    if not sample.is_file():
        return
    folder.mkdir()
    content, cut = sample.read_bytes(), folder / sample.name
    for part in range(CUTS):
        cut.write_bytes(content[: part * len(content) // CUTS])
        try:
            if checked.probe(cut):
                _require(checked.read(cut).sha256 != whole, "reads a truncated file as if it were complete")
        except DemonstrationError:
            continue
        except ConformanceError:
            raise
        except Exception as error:
            raise ConformanceError(
                f"the format raises {type(error).__name__} ({printable(error)}) for a truncated file; it must raise "
                "DemonstrationError with problem and remedy"
            ) from error
