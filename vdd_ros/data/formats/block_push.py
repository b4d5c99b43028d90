"""The arrays of multimodal Block Push, as used by BeT, Diffusion Policy and BESO: 10 of 16 numbers are observed."""

from pathlib import Path

from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.padded_arrays import frames, lengths_of, load_array
from vdd_ros.data.formats.source import Column, Source, check_lengths, damaged

OBSERVATIONS, ACTIONS, MASK = (f"multimodal_push_{name}.npy" for name in ("observations", "actions", "masks"))
RATE_HZ = 10.0
"""24 steps of 1/240 s."""
_POSE = (("x", "m"), ("y", "m"), ("yaw", "rad"))
_SEEN = (
    *((f"block{number}_{axis}", unit) for number in (1, 2) for axis, unit in _POSE),
    *((f"{name}_{axis}", unit) for name in ("tool", "tool_target") for axis, unit in _POSE[:2]),
)
_TARGETS = tuple((f"target{number}_{axis}", unit) for number in (1, 2) for axis, unit in _POSE)
_ACTION = (("delta_tool_target_x", "m"), ("delta_tool_target_y", "m"))


def probe(path: Path) -> bool:
    """Return whether a folder holds the actions and the mask of Block Push."""
    return path.is_dir() and all((path / name).is_file() for name in (ACTIONS, MASK))


def open_source(path: Path) -> Source:
    """Open a folder; the poses of the targets are a separate key, not observed by default.

    Raises:
        DemonstrationError: An array is missing or damaged, or the arrays contradict one another.
    """
    observation, action = (load_array(path / name, 3) for name in (OBSERVATIONS, ACTIONS))
    mask = load_array(path / MASK, 2)
    if observation.shape != (*mask.shape, 16) or action.shape != (*mask.shape, 2):
        raise damaged(
            path,
            f"has {OBSERVATIONS}, {ACTIONS} and {MASK} of the shapes {observation.shape}, {action.shape} and "
            f"{mask.shape}, which are not those of Block Push",
            "copy the data set again",
        )
    lengths = lengths_of(path / MASK, mask)
    check_lengths(path, lengths)
    parts = (
        ("observations", observation[..., :10], _SEEN),
        ("targets", observation[..., 10:], _TARGETS),
        ("actions", action, _ACTION),
    )
    columns = tuple(
        Column(
            key,
            values.shape[2:],
            values.dtype.name,
            frames(values, lengths),
            names=tuple(name for name, _ in names),
            units=tuple(unit for _, unit in names),
        )
        for key, values, names in parts
    )
    kind = "Block Push demonstrations (arrays)"
    return Source(path, kind, "block_push", lengths, columns, RATE_HZ, ("observations",), ("actions",))


FORMAT = Format("arrays of Block Push", probe, reader(open_source), open=open_source)
