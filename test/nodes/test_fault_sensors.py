"""Sensors that stop or send nonsense, over DDS: nothing wrong is commanded, it is reported, and commands resume.

What a loop does about each fault is tested exactly in test/control/test_sensor_faults.py.
"""

from collections.abc import Callable, Iterator

import pytest
from node_rig import MakeNode, started
from ros_helpers import Bench

pytest.importorskip("rclpy")

from fault_rig import MAX_AGE_S, Watched


@pytest.fixture
def watched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The robot's side of the topics; all commands of the test are checked at its end."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    watched = Watched(bench)
    yield watched
    watched.check()


def rises(watched: Watched, counter: str) -> Callable[[str, dict[str, str]], bool]:
    """Return a condition on diagnostics: a counter has grown since the last report."""
    before = watched.value(counter)
    return lambda _, values: int(values[counter]) > max(before, 0)


def test_sensors_stop_then_their_stamps_are_an_hour_off(make_node: MakeNode, watched: Watched) -> None:
    """Commands end with a reported reason, and resume when the sensors are right."""
    node = started(make_node())
    watched.run_for_commands(20)
    watched.pass_time(2 * MAX_AGE_S)
    commanded = len(watched.commands)

    def stale(message: str, values: dict[str, str]) -> bool:
        counted = int(values["stale"]) > 0 and int(values["failsafes"]) >= 1
        return message.startswith("stale: desired, tcp") and counted

    watched.await_diagnosis(stale, "stale inputs", valid=None)
    refused = rises(watched, "refused_messages")
    watched.await_diagnosis(refused, "refusals", offset_s=3600.0, valid=False)
    asked = "are the clocks synchronised?"
    watched.await_diagnosis(lambda message, _: asked in message, "the reason", offset_s=3600.0, valid=False)
    assert len(watched.commands) == commanded
    watched.run_for_commands(20)
    assert (node.state, watched.value("clock_jumps")) == ("active", 0)
