"""D3IL's demonstrations: one pickle per episode, env_*.pkl, with the robot's and the objects' states at each step.

An action is the change of the desired pose to the next step, as in D3IL's own loaders; the last step has none.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.assembly import reader
from vdd_ros.data.formats.choice import KeyChoice
from vdd_ros.data.formats.format import Format
from vdd_ros.data.formats.plain_pickle import Array, read_pickle
from vdd_ros.data.formats.source import MAX_BYTES, Column, Source, check_lengths, damaged
from vdd_ros.files import open_ordinary
from vdd_ros.text import printable

_ROBOT, _DESIRED, _JOINTS, _GRIPPER, _TIME = "robot", "des_c_pos", "des_j_pos", "gripper_width", "time_stamp"
_MARK = b"des_c_pos"
_LOOKED_AT = 16 << 20
_XYZ, _QUATERNION = ("x", "y", "z"), ("qw", "qx", "qy", "qz")
_BASES: dict[str, tuple[str, tuple[str, ...], str]] = {
    f"{_ROBOT}/{_DESIRED}": ("desired", _XYZ, "m"),
    f"{_ROBOT}/c_pos": ("tcp", _XYZ, "m"),
    f"{_ROBOT}/c_vel": ("tcp_velocity", _XYZ, "m/s"),
    f"{_ROBOT}/des_c_quat": ("desired", _QUATERNION, "1"),
    f"{_ROBOT}/c_quat": ("tcp", _QUATERNION, "1"),
    f"delta/{_DESIRED}": ("delta_desired", _XYZ, "m"),
}
_UNITS = {"j_pos": "rad", "j_vel": "rad/s", _JOINTS: "rad", "des_j_vel": "rad/s", "des_j_acc": "rad/s^2", _GRIPPER: "m"}
_UNEVEN = 0.01
"""Relative difference of time steps from which they are not the same."""
_SKIPPED = (_TIME, "sim_step", "wall_clock")
_PLANAR = (KeyChoice(f"{_ROBOT}/{_DESIRED}", take=(0, 1)), KeyChoice(f"{_ROBOT}/c_pos", take=(0, 1)))
_PLANAR_ACTION = (KeyChoice(f"delta/{_DESIRED}", take=(0, 1)),)


def probe(path: Path) -> bool:
    """Return whether a file, or the first one in a folder, is a pickle with D3IL's logs; raises nothing."""
    files = _files(path)
    if not files:
        return False
    try:
        with open_ordinary(files[0]) as stream:
            head = stream.read(_LOOKED_AT)
    except OSError:
        return False
    return head[:1] == b"\x80" and _MARK in head


def _files(path: Path) -> list[Path]:
    """Return the files of the episodes, ordered by the numbers in their names."""
    if not path.is_dir():
        return [path] if path.suffix == ".pkl" and path.is_file() else []
    return sorted(
        path.glob("env_*.pkl"), key=lambda file: ([int(part) for part in re.findall(r"\d{1,9}", file.name)], file.name)
    )


def open_source(path: Path) -> Source:
    """Open a folder of episodes, or a single one.

    Raises:
        DemonstrationError: An episode is damaged, too short, or has other keys than the first.
    """
    files = _files(path)
    if (total := sum(file.stat().st_size for file in files)) > MAX_BYTES:
        raise damaged(path, f"has {total:,} bytes", f"at most {MAX_BYTES:,} are read: split it")
    episodes = [_episode(file) for file in files]
    forms = {key: (values.shape[1:], values.dtype) for key, values in episodes[0].items()}
    for file, episode in zip(files, episodes, strict=True):
        if (found := {key: (values.shape[1:], values.dtype) for key, values in episode.items()}) != forms:
            differing = sorted({*found.items()} ^ {*forms.items()}, key=str)[0][0]
            raise damaged(
                file, f"differs from '{printable(files[0].name)}' in '{printable(differing)}'", "move it elsewhere"
            )
    lengths = np.array([len(episode[f"delta/{_DESIRED}"]) for episode in episodes], np.int64)
    check_lengths(path, lengths)
    times = f"{_ROBOT}/{_TIME}"
    columns = tuple(_column(key, episodes) for key in forms if key.partition("/")[2] not in _SKIPPED)
    objects = {key.partition("/")[0] for key in forms} - {_ROBOT, "delta", "next"}
    return Source(
        path,
        "D3IL demonstrations (pickles)",
        "d3il" if objects else "avoiding",
        lengths,
        columns,
        _common_rate(path, [episode[times] for episode in episodes]) if times in forms else None,
        () if objects else _PLANAR,
        () if objects else _PLANAR_ACTION,
    )


def _episode(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an episode by key, all but the last step, with the changes to the next step."""
    content = read_pickle(file)
    if not isinstance(content, dict) or not isinstance(content.get(_ROBOT), dict):
        raise damaged(file, f"holds no dictionary with '{_ROBOT}'", "move it elsewhere")
    found: dict[str, NDArray[Any]] = {}
    for owner, states in content.items():
        if not isinstance(owner, str) or not isinstance(states, dict):
            continue  # the context, which has no time
        for name, array in states.items():
            if not isinstance(array, Array):
                continue
            try:
                found[f"{owner}/{name}"] = array.values()
            except ValueError as error:
                raise damaged(
                    file, f"has the array '{printable(name)}' of {printable(owner)}: {error}", "copy it again"
                ) from error
    desired = found.get(f"{_ROBOT}/{_DESIRED}")
    if desired is None or desired.ndim != 2 or len(desired) < 2:
        raise damaged(file, f"has no '{_DESIRED}' of at least two steps", "move it elsewhere")
    steps = len(desired)
    for key, values in found.items():
        if values.shape[:1] != (steps,):
            raise damaged(
                file, f"has the shape {values.shape} in '{printable(key)}', but {steps:,} steps", "move it elsewhere"
            )
    joints, gripper = found.get(f"{_ROBOT}/{_JOINTS}"), found.get(f"{_ROBOT}/{_GRIPPER}")
    short = {key: values[:-1] for key, values in found.items()} | {f"delta/{_DESIRED}": np.diff(desired, axis=0)}
    if joints is not None:
        short[f"delta/{_JOINTS}"] = np.diff(joints, axis=0)
    if gripper is not None:
        short[f"next/{_GRIPPER}"] = gripper[1:]
    return short


def _column(key: str, episodes: list[dict[str, NDArray[Any]]]) -> Column:
    owner, _, name = key.partition("/")
    sample = episodes[0][key]
    base, letters, unit = _BASES.get(key, (key if owner not in (_ROBOT, "next") else name, (), _UNITS.get(name, "")))
    if owner == "delta" and not letters:
        base, unit = f"delta_{name}", _UNITS.get(name, "")
    if not letters and name == "pos":
        base, letters, unit = owner, _XYZ, "m"
    if not letters and name == "quat":
        base, letters, unit = owner, _QUATERNION, "1"
    names = tuple(f"{base}_{letter}" for letter in letters) if sample.shape[1:] == (len(letters),) else ()
    return Column(
        key,
        sample.shape[1:],
        sample.dtype.name,
        lambda: np.concatenate([episode[key] for episode in episodes]),
        f"next_{name}" if owner == "next" else base,
        names,
        (unit,) if unit else (),
    )


def _common_rate(path: Path, times: list[NDArray[Any]]) -> float | None:
    """Return the rate of the episodes; None if the times of the first are not equally spaced. Others are refused."""
    rates = [_rate(each) for each in times if len(each) > 1]
    known = [rate for rate in rates if rate is not None]
    if not rates or rates[0] is None:
        return None
    if max(known) > (1 + _UNEVEN) * min(known):
        raise damaged(
            path, f"has episodes of {min(known):.4g} to {max(known):.4g} Hz", "move those of another rate elsewhere"
        )
    return known[0]


def _rate(times: NDArray[Any]) -> float | None:
    """Return the rate of equally spaced times in seconds; None if they are not."""
    steps = np.diff(times.astype(np.float64).ravel())
    if not len(steps) or not np.isfinite(steps).all() or steps.min() <= 0 or np.ptp(steps) > _UNEVEN * steps.mean():
        return None
    return float(1 / steps.mean())


FORMAT = Format("pickles of D3IL", probe, reader(open_source), open=open_source)
