"""A topic that is there and carries nothing: named with its place, in a recording as on a running robot."""

from vdd_ros.bags.topics import Topic
from vdd_ros.evaluation.robot_check.inputs import input_findings
from vdd_ros.evaluation.robot_check.readings import InputReadings
from vdd_ros.robot.robot_file import RobotFile

ROBOT = {
    "inputs": {
        "joints": {
            "topic": "joint_states",
            "type": "sensor_msgs/msg/JointState",
            "max_age_s": 0.1,
            "joints": {"names": ["elbow"], "unit": "rad"},
        }
    },
    "command": {
        "topic": "commands",
        "type": "std_msgs/msg/Float64MultiArray",
        "on_loss": "hold",
        "entries": [{"name": "elbow", "unit": "rad", "low": -1, "high": 1, "max_step": 0.1}],
    },
}


def test_no_message_on_a_mapped_topic_is_an_error() -> None:
    source = RobotFile.from_dict(ROBOT).inputs[0]
    found = InputReadings(source, Topic("/joint_states", source.type, 0), source.features)
    (finding,) = input_findings(found, [])
    assert (finding.level, finding.where) == ("error", "inputs.joints.topic")
    assert finding.text == "no message on /joint_states: does its publisher run?"
