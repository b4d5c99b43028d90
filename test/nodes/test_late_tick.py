"""A tick that begins far too late enters the fail-safe itself, whenever its watchdog wakes."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from vdd_ros.host.realtime import HostSettings
from vdd_ros.nodes.policy.ticker import Ticker, TickSettings
from vdd_ros.nodes.ros.tick_thread import Deadlines

PERIOD_S, MAX_AGE_S = 0.02, 0.1


@pytest.mark.parametrize(("late_s", "wanted"), [(5.0, ["fail-safe", "tick"]), (0.01, ["tick"])])
def test_a_suspended_process_enters_the_failsafe_before_its_next_command(late_s: float, wanted: list[str]) -> None:
    did: list[str] = []
    loop: Any = SimpleNamespace(
        counters=SimpleNamespace(hangs=0),
        enter_failsafe=lambda: did.append("fail-safe"),
        tick=lambda _now_s, _late_s: did.append("tick"),
        swap=SimpleNamespace(active=SimpleNamespace(guards=SimpleNamespace(fault=""))),
    )
    settings = TickSettings(
        period_s=PERIOD_S,
        early_s=0.0,
        limit_s=PERIOD_S,
        max_age_s=MAX_AGE_S,
        on_arrival=False,
        simulated_time=False,
        host=HostSettings(),
    )
    node: Any = SimpleNamespace(executor=None)
    inputs: Any = None
    ticker = Ticker(node, loop, inputs, settings, now_s=lambda: 0.0, settled=lambda: None, abort=lambda _reason: None)
    ticker._deadlines = Deadlines(PERIOD_S)
    wake: Any = SimpleNamespace(ahead_ns=0, until=lambda _due_ns: round(late_s * 1e9))
    ticker._wake = wake
    thread: Any = SimpleNamespace(sleep_until=lambda _instant_ns: True, stopping=False)
    ticker._await_deadline(thread)
    assert did == wanted
    assert loop.counters.hangs == len(wanted) - 1
