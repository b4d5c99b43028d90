"""The home service is called once whatever stops the robot has succeeded; without DDS."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from vdd_ros.nodes.policy.home_call import HomeCall
from vdd_ros.robot.episodes import Home


class FakeClient:
    """A client whose service is there."""

    srv_name = "/arm/home"

    def __init__(self) -> None:
        self.calls = 0

    def service_is_ready(self) -> bool:
        return True

    def call_async(self, _request: Any) -> Any:
        self.calls += 1
        return SimpleNamespace(add_done_callback=lambda _function: None)

    def remove_pending_request(self, _future: Any) -> None:
        """Nothing is pending."""


def fake_node(client: FakeClient) -> Any:
    """Return a node that calls tasks at once; its timers never fire."""
    timer = SimpleNamespace(cancel=lambda: None, reset=lambda: None)
    return SimpleNamespace(
        executor=SimpleNamespace(create_task=lambda function: function()),
        create_client=lambda _kind, _name: client,
        create_timer=lambda _period_s, _function, clock: timer,
    )


def test_home_waits_until_the_robot_was_stopped() -> None:
    """Otherwise `loss_service`, repeated until it succeeds, would stop the robot on its way."""
    client, awaited = FakeClient(), ["loss_service /halt"]
    call = HomeCall(fake_node(client), Home("/arm/home"), lambda _failure: None, lambda: "".join(awaited))
    call.start()
    call._look()
    assert client.calls == 0
    awaited.clear()
    call._look()
    call._look()
    assert client.calls == 1


def test_a_robot_that_was_never_stopped_is_not_sent_home(monkeypatch: pytest.MonkeyPatch) -> None:
    client, clock = FakeClient(), [100.0]
    failures: list[str] = []
    monkeypatch.setattr("vdd_ros.nodes.policy.home_call.time.monotonic", lambda: clock[0])
    call = HomeCall(fake_node(client), Home("/arm/home", 60.0), failures.append, lambda: "loss_service /halt")
    call.start()
    clock[0] += 61.0
    call._look()
    assert failures == ["/arm/home was not called, because loss_service /halt did not succeed within 60 s"]
    assert client.calls == 0
