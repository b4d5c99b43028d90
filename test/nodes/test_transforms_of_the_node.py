"""The node's subscriptions to transforms: before its inputs, with tf2's profiles; a clear error without tf2_msgs."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vdd_ros.errors import RobotFileError
from vdd_ros.nodes.ros.transforms import subscribe_to_transforms
from vdd_ros.robot.transforms import TransformBuffer


class Added:
    """Stands for the node's inputs and keeps what is subscribed to."""

    def __init__(self) -> None:
        self.topics: dict[str, Any] = {}

    def add(self, kind: Any, topic: str, callback: Any, qos: Any) -> None:
        self.topics[topic] = kind, callback, qos


def message(child: str, x: float) -> Any:
    place, turn = SimpleNamespace(x=x, y=0.0, z=0.0), SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
    stamp = SimpleNamespace(sec=5, nanosec=0)
    one = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="base"),
        child_frame_id=child,
        transform=SimpleNamespace(translation=place, rotation=turn),
    )
    return SimpleNamespace(transforms=[one])


def test_both_topics_fill_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    package, messages = ModuleType("tf2_msgs"), ModuleType("tf2_msgs.msg")
    messages.TFMessage = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tf2_msgs", package)
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", messages)
    inputs, transforms = Added(), TransformBuffer()
    subscribe_to_transforms(inputs, transforms)  # type: ignore[arg-type]
    assert list(inputs.topics) == ["/tf_static", "/tf"]
    profiles = {topic: qos.durability.name for topic, (_, _, qos) in inputs.topics.items()}
    assert profiles == {"/tf_static": "TRANSIENT_LOCAL", "/tf": "VOLATILE"}
    inputs.topics["/tf_static"][1](message("camera", 2.0), 0.0)
    inputs.topics["/tf"][1](message("tool", 1.0), 0.0)
    assert transforms.lookup("base", "camera", 500.0, 0.1).translation == (2.0, 0.0, 0.0)
    assert transforms.lookup("base", "tool", 5.05, 0.1).translation == (1.0, 0.0, 0.0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_msgs", None)
    with pytest.raises(RobotFileError, match="the package tf2_msgs is not installed; it is not on PyPI, so use a ROS"):
        subscribe_to_transforms(Added(), TransformBuffer())  # type: ignore[arg-type]
