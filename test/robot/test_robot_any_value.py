"""Any value at any place of a robot file is taken, or refused with an error that names the place."""

import itertools
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from robot_writing import TEXT

from vdd_ros.errors import RobotFileError
from vdd_ros.robot.robot_file import RobotFile

PATHS = [
    (),
    *[("inputs",), ("inputs", "arm"), ("command",), ("command", "entries"), ("command", "entries", 0)],
    *[("inputs", "arm", key) for key in ("topic", "type", "max_age_s", "qos", "entries")],
    ("inputs", "arm", "entries", "elbow"),
    *[("inputs", "arm", "entries", "elbow", key) for key in ("joint", "interface", "unit", "field")],
    *[("command", key) for key in ("topic", "type", "on_loss", "loss_service", "frame_id")],
    *[("command", "entries", 0, key) for key in ("name", "action", "measured", "relative_to", "unit", "low", "high")],
    *[("command", "entries", 0, key) for key in ("max_step", "first_step", "max_error")],
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_subnormal=False),
    st.text(max_size=20),
    st.dates(),
    st.binary(max_size=3),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(SCALARS, below, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(PATHS), value=VALUES)
def test_whatever_stands_anywhere_is_taken_or_refused(path: tuple[Any, ...], value: Any) -> None:
    """With an error of ours that names the place, on one line of a bounded length."""
    document = {"root": yaml.safe_load(TEXT)}
    parent: Any = document
    for before, key in itertools.pairwise(("root", *path, "end")):
        if key == "end":
            parent[before] = value
        else:
            parent = parent[before]
    try:
        RobotFile.from_dict(document["root"])
    except RobotFileError as error:
        assert len(str(error)) < 3500
        assert str(error).isprintable()
        if path and ": " in str(error):
            assert str(error).startswith((str(path[0]), "the document"))
