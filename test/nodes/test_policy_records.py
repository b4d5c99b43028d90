"""What a policy node reports reaches those who match late, from its first tick on."""

from typing import Any

import pytest
from node_rig import AVOIDING, MakeNode, Robot, started
from ros_helpers import Bench
from std_msgs.msg import Float64MultiArray, Int64

from vdd_ros.nodes.policy.publishers import PublishedOutputs
from vdd_ros.nodes.ros.messages import RECORDS
from vdd_ros.robot.command_channel import CommandChannel
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task


def test_a_recorder_that_comes_after_the_first_ticks_misses_none(
    make_node: MakeNode, robot: Robot, bench: Bench
) -> None:
    """A publisher may learn of a recorder long after that has found it, above all on a busy machine."""
    node = started(make_node())
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: loop.counters.records >= 20, "ticks")
    topics: dict[str, Any] = {"latency": Float64MultiArray, "decision": Float64MultiArray, "expert": Int64}
    late = {topic: bench.collect(kind, f"/policy/{topic}", RECORDS) for topic, kind in topics.items()}
    robot.run_until(lambda: all(len(found) >= 20 for found in late.values()), "what was before")
    for topic in ("latency", "decision"):
        assert [message.data[0] for message in late[topic][:20]] == list(range(20))


def test_experts_have_a_topic_as_soon_as_a_mixture_is_to_take_over(bench: Bench) -> None:
    """A topic on which nothing ever comes is an error to those who check bags."""
    robot, spec = RobotFile.load(AVOIDING), get_task("avoiding").spec
    channel = CommandChannel(robot.commands, spec.observation, spec.action)
    outputs = PublishedOutputs(bench.node, channel, 0.005, control=False)  # type: ignore[arg-type]
    for experts, expected in ((False, 0), (True, 1), (False, 1), (True, 1)):
        outputs.expect_decisions(("seq", "stamp_s", "action.x"), experts=experts)
        assert len(bench.node.get_publishers_info_by_topic("/bench/expert")) == expected
    outputs.expert(3)
    outputs.destroy()
    assert not bench.node.get_publishers_info_by_topic("/bench/expert")


@pytest.mark.parametrize("trigger", ["timer", "observation"])
def test_the_diagnostics_wait_for_the_end_of_a_tick(
    make_node: MakeNode, robot: Robot, bench: Bench, trigger: str
) -> None:
    """And come where nothing ticks, too, for want of observations."""
    node = started(make_node(trigger=trigger))
    session = node.session
    assert session is not None
    robot.run_until(lambda: session.loop.counters.records > 0, "a tick")
    for publish in (robot.publish, lambda: None):
        called: list[int] = []
        session.after_tick(lambda called=called: called.append(session.loop.counters.ticks))  # type: ignore[misc]
        bench.wait(lambda called=called, publish=publish: publish() or called, "the call")  # type: ignore[misc]
    node.trigger_deactivate()
    session.after_tick(lambda: called.append(0))
    assert called[-1] == 0
