"""A sensor that floods: publishes both inputs of Avoiding in turn until it is told to stop, then says how often.

Run as `python flood.py RATE_HZ`; the number of messages is its only line of output.
"""

import signal
import sys
import time


def main() -> None:
    import rclpy
    from geometry_msgs.msg import PoseStamped
    from rclpy.signals import SignalHandlerOptions

    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("flood")
    publishers = [node.create_publisher(PoseStamped, f"{name}_pose", 10) for name in ("desired", "tcp")]
    message = PoseStamped()
    message.pose.position.x, message.pose.position.y = 0.5, 0.1
    period_ns = round(1e9 / float(sys.argv[1]))
    due, sent = time.monotonic_ns(), 0
    while not stopped:
        while time.monotonic_ns() < due:
            time.sleep(0.0005)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 1_000_000_000)
        publishers[sent % 2].publish(message)
        sent += 1
        due += period_ns
    rclpy.shutdown()
    print(sent)


if __name__ == "__main__":
    main()
