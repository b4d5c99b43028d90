"""The arrays of Relay Kitchen, as used by BeT, Diffusion Policy and BESO: time first, 30 of 60 numbers in use."""

from pathlib import Path

import numpy as np

from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.padded_arrays import frames, lengths_of, load_array
from vdd_ros.data.formats.source import Column, Source, check_lengths, damaged

OBSERVATIONS, COMMANDS, MASK = "observations_seq.npy", "actions_seq.npy", "existence_mask.npy"
RATE_HZ = 12.5
"""40 steps of 2 ms."""
_JOINTS = tuple(f"joint_{number}" for number in range(1, 8))
_FINGERS = ("finger_1", "finger_2")
_BURNERS = tuple(name for number in range(1, 5) for name in (f"knob_{number}", f"burner_{number}"))
_DOORS = ("light_switch", "light", "slide_cabinet", "left_hinge_cabinet", "right_hinge_cabinet", "microwave")
_KETTLE = tuple(f"kettle_{axis}" for axis in ("x", "y", "z", "qw", "qx", "qy", "qz"))
NAMES = (*_JOINTS, *_FINGERS, *_BURNERS, *_DOORS, *_KETTLE)
_DOOR_UNITS = ("rad", "m", "m", "rad", "rad", "rad")
UNITS = (*("rad",) * 7, *("m",) * 2, *("rad", "m") * 4, *_DOOR_UNITS, *("m",) * 3, *("1",) * 4)
ACTIONS = tuple(f"{name}_velocity" for name in (*_JOINTS, *_FINGERS))


def probe(path: Path) -> bool:
    """Return whether a folder holds the three arrays."""
    return path.is_dir() and all((path / name).is_file() for name in (OBSERVATIONS, COMMANDS, MASK))


def open_source(path: Path) -> Source:
    """Open a folder; the goals after the first 30 numbers, which are zero in the data, are not read.

    Raises:
        DemonstrationError: An array is damaged, or the arrays contradict one another.
    """
    observation, action = (np.swapaxes(load_array(path / name, 3), 0, 1) for name in (OBSERVATIONS, COMMANDS))
    mask = load_array(path / MASK, 2).T
    count = len(NAMES)
    if (
        observation.shape[:2] != mask.shape
        or action.shape != (*mask.shape, 9)
        or observation.shape[2] not in (count, 60)
    ):
        raise damaged(
            path,
            f"has {OBSERVATIONS}, {COMMANDS} and {MASK} of the shapes {observation.shape}, {action.shape} and "
            f"{mask.shape} (episodes first), which are not those of Relay Kitchen",
            "copy the data set again",
        )
    lengths = lengths_of(path / MASK, mask)
    check_lengths(path, lengths)
    columns = (
        Column(
            "observations",
            (count,),
            observation.dtype.name,
            frames(observation[..., :count], lengths),
            "",
            NAMES,
            UNITS,
        ),
        Column("actions", (9,), action.dtype.name, frames(action, lengths), "", ACTIONS, ("1",)),
    )
    kind = "Relay Kitchen demonstrations (arrays)"
    return Source(path, kind, "kitchen", lengths, columns, RATE_HZ, ("observations",), ("actions",))


FORMAT = Format("arrays of Relay Kitchen", probe, reader(open_source), open=open_source)
