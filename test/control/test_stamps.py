"""What a message is dated by: its stamp, or its arrival where the stamp is of a foreign clock."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from loop_rig import AVOIDING, PERIOD_S, Rig
from policy_files import write_mixture
from robot_messages import pose

from vdd_ros.errors import RobotFileError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile


def rig(folder: Path, stamp: str | None, history: int = 1) -> Rig:
    """Return a rig of Avoiding whose inputs are dated like that."""
    document = yaml.safe_load(AVOIDING.read_text())
    for source in document["inputs"].values():
        source.update({"stamp": stamp} if stamp else {})
    path = write_mixture(folder / "p.onnx", history=history)
    return Rig(OnnxPolicy.load(path, expert="greedy"), RobotFile.from_dict(document))


@pytest.mark.parametrize("offset_s", [-1e9, -3600.0, 3600.0])
def test_a_foreign_clock_can_be_dated_by_arrival(tmp_path: Path, offset_s: float) -> None:
    """A camera without time synchronisation: its messages count from when they arrive."""
    made = rig(tmp_path, "arrival")
    for now_s in (2e9, 2e9 + 0.03, 2e9 + 0.06):
        for name in ("desired", "tcp"):
            made.receive(name, pose(0.5, 0.1, stamp_s=now_s + offset_s), now_s)
        made.loop.tick(now_s + 0.01, 0.0)
    assert (len(made.out.commands), made.loop.counters.refused_messages) == (3, 0)
    assert made.out.records[-1]["observation_age_s"] == pytest.approx(0.01, abs=1e-6)
    made.loop.tick(2e9 + 0.3, 0.0)
    assert made.loop.counters.stale == 1


@pytest.mark.parametrize("stamp", [None, "header"])
@pytest.mark.parametrize(("offset_s", "told"), [(-3600.0, "3600.000 s old"), (3600.0, "3600.000 s in the future")])
def test_a_foreign_clock_is_reported_with_a_remedy(
    tmp_path: Path, stamp: str | None, offset_s: float, told: str
) -> None:
    made = rig(tmp_path, stamp)
    made.receive("tcp", pose(0.5, 0.1, stamp_s=5000.0 + offset_s), 5000.0)
    assert made.loop.counters.refused_messages == 1
    assert told in made.loop.observer.last_refusal
    assert "`stamp: arrival` in the robot file dates this input by its arrival" in made.loop.observer.last_refusal


@pytest.mark.parametrize("stamp", ["arrival", "header"])
def test_the_newest_of_those_that_arrive_at_one_time_counts(tmp_path: Path, stamp: str) -> None:
    """Simulated time stands still while they are taken; without a stamp they come in order all the same."""
    made = rig(tmp_path, stamp)
    for x in (0.5, 0.51, 0.52):
        for name in ("desired", "tcp"):
            made.receive(name, pose(x, 0.1), 10.0)
    made.loop.tick(10.0, 0.0)
    assert made.loop.counters.refused_messages == 0
    assert made.out.commands[0][0] == pytest.approx(0.52, abs=0.011)
    assert made.out.decisions[0]["observation[0].tcp_x"] == pytest.approx(0.52)


def test_arrivals_make_the_history(tmp_path: Path) -> None:
    """Whatever the stamps say: here they stand still."""
    made = rig(tmp_path, "arrival", history=2)
    for number, x in enumerate((0.5, 0.52)):
        for name in ("desired", "tcp"):
            made.receive(name, pose(x, 0.1, stamp_s=7.0), 10.0 + number * PERIOD_S)
    made.loop.tick(10.0 + PERIOD_S, 0.0)
    decision = made.out.decisions[0]
    assert decision["observation[-1].tcp_x"] == pytest.approx(0.5)
    assert decision["observation[0].tcp_x"] == pytest.approx(0.52)


@pytest.mark.parametrize("stamp", ["sensor", True, None, 1])
def test_other_words_are_refused(stamp: Any) -> None:
    document = yaml.safe_load(AVOIDING.read_text())
    document["inputs"]["tcp"]["stamp"] = stamp
    with pytest.raises(RobotFileError, match=r"inputs\.tcp\.stamp"):
        RobotFile.from_dict(document)
