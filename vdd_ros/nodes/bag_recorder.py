"""Records topics into a rosbag2 directory without a rosbag2 installation."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from std_msgs.msg import Bool

from vdd_ros.bags.writer import BagWriter
from vdd_ros.errors import ConfigurationError, RecordingError, VddError
from vdd_ros.nodes.recorder.topics import common_type, offered_qos, subscription_qos
from vdd_ros.nodes.ros.arguments import Executable, answered
from vdd_ros.nodes.ros.leaving import leave
from vdd_ros.nodes.ros.messages import LATCHED, message_class
from vdd_ros.nodes.ros.parameters import parameter, read_parameters
from vdd_ros.nodes.ros.runtime import Leave, run

DISCOVERY_PERIOD_S = 0.1
FLUSH_PERIOD_S = 1.0
MATCHED_LOOKS = 5
"""Consecutive checks that must find every topic matched: a publisher learns of a match later than the recorder."""


@dataclass(frozen=True)
class RecorderParameters:
    """Parameters of bag_recorder."""

    output: str = parameter("", "new directory; an existing one is refused", path=True)
    topics: tuple[str, ...] = parameter(("",), "topics to record")
    optional_topics: tuple[str, ...] = parameter(("",), "topics to record if they are published")


EXECUTABLE = Executable("bag_recorder", "bag_recorder", RecorderParameters, "records topics into a rosbag2 directory")


class BagRecorder(Node):
    """Subscribes to each topic as soon as it is published and writes the messages into a bag.

    An unpublished optional topic is not in the bag, and the recorder does not wait for it.

    Publishes true on `~/ready` (transient local) once every topic is subscribed and matched, false once writing failed.

    Raises:
        ConfigurationError: If a parameter is missing or wrong.
        RecordingError: If the bag cannot be made.
    """

    def __init__(self) -> None:
        super().__init__("bag_recorder")
        parameters = read_parameters(self, RecorderParameters)
        topics, optional = (
            list(dict.fromkeys(self.resolve_topic_name(topic) for topic in names if topic))
            for names in (parameters.topics, parameters.optional_topics)
        )
        if not parameters.output:
            raise ConfigurationError("parameter output is empty; give the directory to record into: -p output:=DIR")
        if not topics:
            raise ConfigurationError('parameter topics is empty; give the topics to record: -p topics:="[/a, /b]"')
        self._writer = BagWriter(Path(parameters.output).expanduser())
        self._reported: RecordingError | None = None
        self._awaited = topics
        self._optional = [topic for topic in optional if topic not in topics]
        self._recorded: list[Subscription] = []
        self._matched_looks = 0
        self._types: dict[str, str] = {}
        self._wrong = ""
        self._ready = self.create_publisher(Bool, "~/ready", LATCHED)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._discovery = self.create_timer(DISCOVERY_PERIOD_S, self._discover, clock=steady)
        self.create_timer(FLUSH_PERIOD_S, self._flush, clock=steady)

    def close(self) -> int:
        """Complete the bag and return the exit code: 1 if the bag is incomplete."""
        if self._awaited:
            self.get_logger().warning(f"never published, hence not recorded: {', '.join(self._awaited)}")
        self._drain()
        try:
            self._writer.close()
        except RecordingError as error:
            if error is not self._reported:
                self.get_logger().error(str(error))
            return 1
        self.get_logger().info(f"recorded {self._writer.output}")
        return 1 if self._wrong else 0

    def _discover(self) -> None:
        try:
            self._check_types()
            self._awaited = [topic for topic in self._awaited if not self._subscribe(topic)]
            self._optional = [topic for topic in self._optional if not self._subscribe(topic)]
        except VddError as error:
            self.get_logger().error(str(error))
            raise Leave(1) from error
        if self._awaited:
            self.get_logger().info(f"waiting for {', '.join(self._awaited)}", throttle_duration_sec=5.0)
        matched = not self._awaited and all(s.get_publisher_count() for s in self._recorded)
        self._matched_looks = self._matched_looks + 1 if matched else 0
        if self._matched_looks == MATCHED_LOOKS:
            self._discovery.cancel()
            self._ready.publish(Bool(data=True))
            self.get_logger().info("ready: every topic is subscribed")

    def _subscribe(self, topic: str) -> bool:
        """Subscribe to a topic if it has a publisher; return whether it has one."""
        publishers = self.get_publishers_info_by_topic(topic)
        if not publishers:
            return False
        msgtype = common_type(topic, publishers)
        self._writer.add_topic(topic, msgtype, offered_qos(publishers))
        self._types[topic] = msgtype
        callback = partial(self._record, topic)
        qos = subscription_qos(publishers)
        self._recorded.append(self.create_subscription(message_class(msgtype), topic, callback, qos, raw=True))
        return True

    def _check_types(self) -> None:
        """Raise RecordingError if a new publisher uses another type on a recorded topic."""
        for topic, msgtype in self._types.items():
            common_type(topic, self.get_publishers_info_by_topic(topic), msgtype)

    def _watch_types(self) -> None:
        """Warn once if a topic gets another type while recording; messages of the right type are still recorded."""
        try:
            self._check_types()
        except RecordingError as error:
            if not self._wrong:
                self.get_logger().error(f"{error}; it is not recorded")
            self._wrong = str(error)

    def _drain(self) -> None:
        """Record the messages that were queued when the signal arrived."""
        for subscription in self._recorded:
            with subscription.handle:
                while taken := subscription.handle.take_message(subscription.msg_type, True):
                    message, info = taken
                    self._writer.write(subscription.topic_name, info["received_timestamp"], message)

    def _record(self, topic: str, message: bytes, info: dict[str, Any]) -> None:
        try:
            self._writer.write(topic, info["received_timestamp"], message)
        except Exception as error:  # recording continues, but the bag is incomplete
            self._wrong = f"a message of {topic} was not recorded: {type(error).__name__}: {error}"
            raise
        self._watch()

    def _flush(self) -> None:
        self._writer.flush()
        self._watch()
        if self._discovery.is_canceled():
            self._watch_types()
            self._watch_optional()

    def _watch_optional(self) -> None:
        """Subscribe to optional topics whose publishers appeared after recording began."""
        try:
            self._optional = [topic for topic in self._optional if not self._subscribe(topic)]
        except VddError as error:
            self.get_logger().error(f"{error}; it is not recorded")
            self._optional, self._wrong = [], str(error)

    def _watch(self) -> None:
        """Once the writer fails, report it and unsubscribe; the exit code follows at the end."""
        if self._writer.failure is self._reported:
            return
        self._reported = self._writer.failure
        while self._recorded:
            self.destroy_subscription(self._recorded.pop())
        self._ready.publish(Bool(data=False))
        self.get_logger().error(str(self._reported))


def main(argv: list[str] | None = None) -> int:
    """Run the recorder until a signal; see `vdd_ros.nodes.ros.runtime.run`."""
    code = answered(EXECUTABLE, argv)
    return leave(run(BagRecorder, argv)) if code is None else code


if __name__ == "__main__":
    sys.exit(main())
