"""`vdd robot check` warns of numbers so large that rounding hides their changes."""

from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rosbags")

from random_messages import schema
from robot_bags import ROBOT, ArmBag

from vdd_ros.evaluation.robot_check.bag import check_bag

NS = 1_700_000_000_000_000_000
COUNTS = 20_000_000
ADVICE = "smaller changes are lost; give an `offset` that brings it near 0"
LOST = "smaller changes are lost; publish it relative to its start, within 2^53"


def found(folder: Path, kind: str, values: Any, entries: str) -> list[str]:
    """Return the warnings about entries of an input, whose messages have these values."""
    more = []
    for number, value in enumerate(values):
        message = schema(f"std_msgs/msg/{kind}").blank()
        message.data = value
        more.append(("/counts", f"std_msgs/msg/{kind}", 0.05 * number, message))
    source = f"  counts:\n    topic: /counts\n    type: std_msgs/msg/{kind}\n    max_age_s: 0.2\n    entries:\n"
    source += indent(entries, " " * 6) + "\n"
    (folder / "arm.yaml").write_text(ROBOT.replace("command:\n", f"{source}command:\n"))
    report = check_bag(folder / "arm.yaml", ArmBag(more=more).write(folder / "bag"))
    assert not [one for one in report.findings if one.level == "error"]
    texts = [f"{one.where}: {one.text}" for one in report.findings if one.level == "warning"]
    return [text.removeprefix("inputs.counts.entries.") for text in texts]


@pytest.mark.parametrize(
    ("kind", "values", "entry", "expected"),
    [
        ("Int32", COUNTS + np.arange(80), "{field: data, unit: 1}", f"reaches 2.00001e+07, {{single}} 2: {ADVICE}"),
        ("Int32", COUNTS + np.arange(80), "{field: data, unit: 1, offset: -2e7}", ""),
        ("Int32", COUNTS + np.arange(80), "{field: data, unit: 1, scale: 0.5}", ""),
        ("Int32", COUNTS * np.arange(80), "{field: data, unit: 1}", ""),
        ("Float64", -1.7e9 - np.arange(80), "{field: data, unit: s}", f"reaches 1.7e+09 s, {{single}} 128: {ADVICE}"),
        ("UInt64", NS + np.arange(80), "{field: data, unit: 1}", f"reaches 1.7e+18, {{single}} 1.37e+11: {LOST}"),
        (
            "UInt64",
            NS + np.arange(80),
            "{field: data, unit: 1, offset: -1.7e18}",
            f"is made of numbers up to 1.7e+18, where double precision has steps of 256: {LOST}",
        ),
        ("UInt64", NS + 10**9 * np.arange(80), "{field: data, unit: s, scale: 1e-9, offset: -1.7e9}", ""),
        ("Int64", 2**53 - np.arange(80), "{field: data, unit: 1, offset: -9.007199254740992e15}", ""),
    ],
)
def test_an_entry(tmp_path: Path, kind: str, values: Any, entry: str, expected: str) -> None:
    texts = found(tmp_path, kind, values.tolist(), f"count: {entry}")
    single = "where the policy's single precision has steps of"
    assert texts == ([f"count: {expected.format(single=single)}"] if expected else [])


def test_an_array(tmp_path: Path) -> None:
    rows = [np.array([NS, NS + number], np.uint64) for number in range(80)]
    (text,) = found(tmp_path, "UInt64MultiArray", rows, "counts: {field: data, shape: [2], unit: 1}")
    assert text.startswith("counts: reaches 1.7e+18")


def test_a_difference(tmp_path: Path) -> None:
    """Both counters run through a wide range, beside one another."""
    rows = [np.array([10**7 * number + number % 7, 10**7 * number], np.int64) for number in range(80)]
    entries = "home: {field: 'data[1]', unit: 1, hidden: true}\nslip: {field: 'data[0]', unit: 1, minus: home}"
    (text,) = found(tmp_path, "Int64MultiArray", rows, entries)
    assert text.startswith("slip: reaches 7.9e+08, where the policy's single precision has steps of 64")
    assert text.endswith("smaller changes are lost; publish the difference from home")
