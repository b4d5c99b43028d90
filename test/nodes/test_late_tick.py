"""A tick that begins far too late enters the fail-safe itself, whenever its watchdog wakes."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from vdd_ros.host.realtime import HostSettings
from vdd_ros.nodes.policy.ticker import Ticker, TickSettings
from vdd_ros.nodes.ros.tick_thread import Deadlines

PERIOD_S, MAX_AGE_S = 0.02, 0.1
THREAD: Any = SimpleNamespace(sleep_until=lambda _instant_ns: True, stopping=False)


class Rig:
    """A ticker on a clock that only the test moves, fed by hand.

    Attributes:
        did: What its loop was told to do.
        now_ns: The monotonic clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, on_arrival: bool) -> None:
        self.did: list[str] = []
        self.now_ns = 0
        monkeypatch.setattr("vdd_ros.nodes.policy.ticker.time", SimpleNamespace(monotonic_ns=lambda: self.now_ns))
        self.loop = SimpleNamespace(
            counters=SimpleNamespace(hangs=0),
            enter_failsafe=lambda: self.did.append("fail-safe"),
            check_overdue=lambda: False,
            news=lambda: True,
            tick=lambda _now_s, _late_s: self.did.append("tick"),
            swap=SimpleNamespace(active=SimpleNamespace(guards=SimpleNamespace(fault=""))),
        )
        settings = TickSettings(
            period_s=PERIOD_S,
            early_s=0.0,
            limit_s=PERIOD_S,
            max_age_s=MAX_AGE_S,
            on_arrival=on_arrival,
            simulated_time=False,
            host=HostSettings(),
        )
        node: Any = SimpleNamespace(executor=None)
        inputs: Any = SimpleNamespace(wait=lambda _timeout_s: None, take=lambda: None)
        loop: Any = self.loop
        self.ticker = Ticker(
            node,
            loop,
            inputs,
            settings,
            now_s=lambda: 1e-9 * self.now_ns,
            settled=lambda: None,
            abort=lambda _reason: None,
        )
        self.ticker._deadlines = Deadlines(PERIOD_S, lambda: self.now_ns)
        wake: Any = SimpleNamespace(ahead_ns=0, until=lambda due_ns: self.now_ns - due_ns)
        self.ticker._wake = wake
        ahead: Any = SimpleNamespace(sleep_s=lambda: math.inf, arrived=lambda: None)
        self.ticker._ahead = ahead
        self.ticker._settled, self.ticker._thread = True, THREAD
        self._step = self.ticker._await_arrival if on_arrival else self.ticker._await_deadline

    def step(self, after_s: float) -> None:
        """Advance the clock, and let the tick thread take a step."""
        self.now_ns += round(after_s * 1e9)
        self._step(THREAD)


@pytest.mark.parametrize("on_arrival", [False, True])
@pytest.mark.parametrize(("late_s", "wanted"), [(5.0, ["fail-safe", "tick"]), (0.01, ["tick"])])
def test_a_suspended_process_enters_the_failsafe_before_its_next_command(
    monkeypatch: pytest.MonkeyPatch, late_s: float, wanted: list[str], *, on_arrival: bool
) -> None:
    rig = Rig(monkeypatch, on_arrival=on_arrival)
    rig.step(PERIOD_S + late_s)
    assert rig.did == wanted
    assert rig.loop.counters.hangs == len(wanted) - 1


def test_observations_without_a_pause_are_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tick takes so long that the next observation is already there."""
    rig = Rig(monkeypatch, on_arrival=True)
    for _ in range(100):
        rig.step(0.6 * PERIOD_S)
        assert not rig.ticker._check_overdue()
    assert rig.did == ["tick"] * 100
    assert rig.loop.counters.hangs == 0
