"""`max_skew_s`: how far the stamps of a tick's inputs may be apart, and what the records tell of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import pose

from vdd_ros.control.timing import latency_labels
from vdd_ros.errors import RobotFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile


def document(max_skew_s: Any = None, **of_tcp: Any) -> dict[str, Any]:
    """Return the robot file of Avoiding with this limit, and these keys in the input `tcp`."""
    found: dict[str, Any] = yaml.safe_load(AVOIDING.read_text())
    found["inputs"]["tcp"] |= of_tcp
    return found if max_skew_s is None else found | {"max_skew_s": max_skew_s}


def rig(folder: Path, max_skew_s: float | None = None, **of_tcp: Any) -> Rig:
    """Return a loop of that robot."""
    policy = OnnxPolicy.load(write_mixture(folder / "p.onnx"), expert="greedy")
    return Rig(policy, RobotFile.from_dict(document(max_skew_s, **of_tcp)))


def see(made: Rig, now_s: float, late_s: float) -> None:
    """Tick at a time, with an input that was measured before the other one."""
    made.receive("desired", pose(0.5, 0.1, stamp_s=now_s), now_s)
    made.receive("tcp", pose(0.5, 0.1, stamp_s=now_s - late_s), now_s)
    made.loop.tick(now_s, 0.0)


def test_stamps_that_are_too_far_apart_end_commanding_until_they_are_not(tmp_path: Path) -> None:
    made = rig(tmp_path, 0.03)
    for number, late_s in enumerate((0.0, 0.02, 0.04, 0.05, 0.0)):
        see(made, 10.0 + number * PERIOD_S, late_s)
    counters = made.loop.counters
    assert (counters.skewed, counters.stale, counters.failsafes) == (2, 0, 1)
    assert (len(made.out.commands), len(made.out.records)) == (3, 3)
    oldest, newest, skew_s = made.loop.observer.alignment.last or ("", "", 0.0)
    assert (oldest, newest) == ("tcp", "desired")
    assert skew_s == pytest.approx(0.05, abs=1e-6)


def test_without_a_limit_the_stamps_are_only_recorded(tmp_path: Path) -> None:
    made = rig(tmp_path)
    see(made, 10.0, 0.06)
    made.loop.tick(10.01, 0.0)
    assert (made.loop.counters.skewed, len(made.out.commands)) == (0, 2)
    first, second = made.out.records
    assert first["skew_s"] == pytest.approx(0.06, abs=1e-6)
    assert (first["age_s.desired"], first["age_s.tcp"]) == pytest.approx((0.0, 0.06), abs=1e-6)
    assert (second["age_s.desired"], second["age_s.tcp"]) == pytest.approx((0.01, 0.07), abs=1e-6)
    assert second["observation_age_s"] == max(second["age_s.desired"], second["age_s.tcp"])


def test_an_input_that_may_be_old_does_not_count(tmp_path: Path) -> None:
    """Its age is recorded all the same."""
    document_ = document(0.03)
    del document_["command"]["entries"][0]["measured"], document_["command"]["entries"][1]["measured"]
    document_["inputs"]["tcp"]["when_stale"] = "keep"
    with pytest.raises(RobotFileError, match=r"max_skew_s: compares the stamps .* but there is only one; leave it out"):
        RobotFile.from_dict(document_)
    del document_["max_skew_s"]
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx"), expert="greedy")
    made = Rig(policy, RobotFile.from_dict(document_))
    see(made, 10.0, 0.05)
    assert made.out.records[0]["skew_s"] == 0.0
    assert made.out.records[0]["age_s.tcp"] == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("value", [0, -0.1, "soon", True])
def test_a_limit_is_a_time(value: Any) -> None:
    with pytest.raises(RobotFileError, match="max_skew_s"):
        RobotFile.from_dict(document(value))


def test_a_foreign_clock_is_compared_by_its_arrival(tmp_path: Path) -> None:
    made = rig(tmp_path, 0.03, stamp="arrival")
    see(made, 10.0, 1e6)
    assert (made.loop.counters.skewed, len(made.out.commands)) == (0, 1)


def test_the_ages_follow_the_common_labels_in_the_order_of_the_robot_file(tmp_path: Path) -> None:
    made = rig(tmp_path)
    assert made.loop.observer.alignment.names == tuple(document()["inputs"])
    assert latency_labels(made.loop.observer.alignment.names)[-3:] == ("skew_s", "age_s.desired", "age_s.tcp")


def test_a_new_episode_forgets_the_skew(tmp_path: Path) -> None:
    """Diagnostics would blame it while the first messages are awaited."""
    made = rig(tmp_path, 0.03)
    see(made, 10.0, 0.05)
    assert made.loop.observer.alignment.skew_s > 0.03
    made.loop.new_episode()
    assert not made.loop.observer.alignment.skew_s > 0.03
