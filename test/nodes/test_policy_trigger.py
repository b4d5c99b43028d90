"""`trigger: observation` over real DDS: a tick follows the arrival of every input; stale inputs are still noticed."""

from node_rig import MakeNode, Robot, started
from ros_helpers import Bench
from std_msgs.msg import Float64MultiArray

from vdd_ros.control.timing import LATENCY_LABELS


def test_each_observation_makes_one_command(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    """None for one of two inputs alone, one when the other comes, none for time that passes."""
    records = bench.collect(Float64MultiArray, "/policy/latency")
    node = started(make_node(trigger="observation"))
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: len(records) > 3, "records")
    stale = loop.counters.stale
    bench.wait(lambda: loop.counters.stale > stale, "stale inputs")  # so that nothing is on its way any more
    before = loop.counters.records
    for number in range(1, 6):
        robot.publish()
        bench.wait(lambda number=number: loop.counters.records >= before + number, "a tick")  # type: ignore[misc]
    assert loop.counters.records == before + 5
    ages = [record.data[LATENCY_LABELS.index("observation_age_s")] for record in records]
    assert max(ages) < 0.2
    assert loop.counters.failsafes >= 1


def test_one_input_alone_does_not_tick(make_node: MakeNode, robot: Robot, bench: Bench) -> None:
    node = started(make_node(trigger="observation"))
    assert node.session is not None
    loop = node.session.loop
    robot.run_until(lambda: loop.counters.records > 0, "a tick")
    stale = loop.counters.stale
    bench.wait(lambda: loop.counters.stale > stale, "stale inputs")
    before, received = loop.counters.records, loop.observer._history._rings["desired"].count
    message_of_one = robot.inputs[0]
    robot.inputs = [message_of_one]
    robot.run_until(lambda: loop.observer._history._rings["desired"].count >= received + 5, "messages of one input")
    assert loop.counters.records == before
