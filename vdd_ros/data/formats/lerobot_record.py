"""meta/vdd_ros.json: the parts of a demonstration set that LeRobot cannot store, beside the data set."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.data.formats.lerobot_info import ACTION, OBSERVATION
from vdd_ros.data.formats.npz import read_header
from vdd_ros.data.formats.source import damaged
from vdd_ros.documents import Json, JsonObject, read_json, to_json
from vdd_ros.errors import DemonstrationError

RECORD = Path("meta/vdd_ros.json")
FORMAT_VERSION = 1
_STATE = f"{OBSERVATION}.state"


class Record(NamedTuple):
    """Header, lengths (E,), modes (E,) and contexts (E, c) of a set written for LeRobot."""

    header: Header
    lengths: NDArray[np.int64]
    modes: NDArray[np.int64]
    contexts: NDArray[np.float64]

    @property
    def units(self) -> dict[str, tuple[str, ...]]:
        """Units by the data set's keys."""
        return {
            _STATE: tuple(feature.unit for feature in self.header.vector),
            ACTION: tuple(feature.unit for feature in self.header.action),
            **{f"{OBSERVATION}.{feature.name}": (feature.unit,) for feature in self.header.arrays},
        }


def record_of(demonstrations: DemonstrationSet) -> Mapping[str, Json]:
    """Return the record of a set, as JSON."""
    header = json.loads(json.dumps(demonstrations.header.to_dict()))
    arrays = {name: getattr(demonstrations, name).tolist() for name in ("lengths", "modes", "contexts")}
    return {"format_version": FORMAT_VERSION, "header": to_json(header), **arrays}


def read_record(folder: Path) -> Record | None:
    """Read the record of a data set; None if it has none, since another program wrote it.

    Raises:
        DemonstrationError: The record is damaged, or of another version.
    """
    file = folder / RECORD
    if not file.is_file():
        return None
    fields = read_json(file, DemonstrationError)
    mend = "remove the file to read the data set as LeRobot's alone"
    if not isinstance(fields, dict) or fields.get("format_version") != FORMAT_VERSION:
        raise damaged(file, f"is of another version than {FORMAT_VERSION}", mend)
    try:
        header = read_header(_object(fields["header"]))
        lengths, modes = (np.array(_numbers(fields[name]), np.int64) for name in ("lengths", "modes"))
        contexts = np.array(fields["contexts"], np.float64).reshape(len(lengths), len(header.context))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(file, f"is damaged ({error})", mend) from error
    return Record(header, lengths, modes, contexts)


def _object(value: Json) -> JsonObject:
    if not isinstance(value, dict):
        raise ValueError("its header is not an object")
    return value


def _numbers(value: Json) -> list[int]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise ValueError("its lengths or modes are not whole numbers")
    return [number for number in value if isinstance(number, int)]
