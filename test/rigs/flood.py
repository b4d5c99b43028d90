"""A sensor that floods: publishes an input of Avoiding until it is stopped, then prints its rate.

Run as `python flood.py INPUT RATE_HZ`; the rate is its only line of output. Messages are serialised before, but for
their stamps, so that Python is fast enough. What measures the robot is alive: its last digit changes.
"""

import signal
import struct
import sys
import time

LAST_DIGIT = 2.0**-24  # of 0.5 in single precision
STAMP_AT = 4  # in a message that begins with a header: after the encapsulation of four bytes


def main() -> None:
    import rclpy
    from geometry_msgs.msg import PoseStamped
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rclpy.serialization import serialize_message
    from rclpy.signals import SignalHandlerOptions

    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    name, rate_hz = sys.argv[1], float(sys.argv[2])
    node = rclpy.create_node(f"flood_{name}")
    best_effort = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(PoseStamped, f"{name}_pose", best_effort)
    raws = []
    for x in (0.5, 0.5 + LAST_DIGIT if name == "tcp" else 0.5):
        message = PoseStamped()
        message.pose.position.x, message.pose.position.y = x, 0.1
        raws.append(bytearray(serialize_message(message)))
    period_ns = round(1e9 / rate_hz)
    began = due = time.monotonic_ns()
    sent = 0
    while not stopped:
        while time.monotonic_ns() < due:
            time.sleep(0.0002)
        raw = raws[sent % 2]
        struct.pack_into("<iI", raw, STAMP_AT, *divmod(time.time_ns(), 1_000_000_000))
        publisher.publish(bytes(raw))
        sent += 1
        due += period_ns
    print(1e9 * sent / (time.monotonic_ns() - began))
    rclpy.shutdown()


if __name__ == "__main__":
    main()
