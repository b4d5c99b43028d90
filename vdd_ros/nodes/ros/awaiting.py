"""Waits for one message or one answer while the node's executor is busy, as during its configuration."""

import time
from typing import Any

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile

from vdd_ros.nodes.ros.polled_subscriptions import NobodysGroup, TickInputs


def await_message(node: Node, kind: Any, topic: str, qos: QoSProfile, timeout_s: float) -> Any:
    """Return the first message on a topic; None if none arrives within `timeout_s` seconds."""
    found: list[Any] = []
    inputs = TickInputs(node)
    try:
        inputs.add(kind, topic, lambda message, _: found.append(message), qos)
        end_s = time.monotonic() + timeout_s
        while not found and (left_s := end_s - time.monotonic()) > 0:
            inputs.wait(left_s)
            inputs.take()
    finally:
        inputs.destroy()
    return found[0] if found else None


def call_service(node: Node, kind: Any, name: str, request: Any, timeout_s: float) -> Any:
    """Return a service's answer; None if it is missing or does not answer within `timeout_s` seconds."""
    client = node.create_client(kind, name, callback_group=NobodysGroup())
    try:
        end_s = time.monotonic() + timeout_s
        if not client.wait_for_service(timeout_s):
            return None
        with client.handle:
            sequence = client.handle.send_request(request)
            while (left_s := end_s - time.monotonic()) > 0:
                if not _wait(node, client, left_s):
                    continue
                header, answer = client.handle.take_response(kind.Response)
                if header is not None and header.request_id.sequence_number == sequence:
                    return answer
        return None
    finally:
        node.destroy_client(client)


def _wait(node: Node, client: Any, timeout_s: float) -> bool:
    """Wait until a client has an answer; return whether one arrived."""
    context = node.context.handle
    if context is None:
        return False
    with context:
        waiting = rclpy_implementation.WaitSet(0, 0, 0, 1, 0, 0, context)
        waiting.clear_entities()
        waiting.add_client(client.handle)
        waiting.wait(int(timeout_s * 1e9))
        return bool(waiting.get_ready_entities("client"))
