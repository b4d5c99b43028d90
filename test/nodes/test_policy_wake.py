"""Early wake-ups, on a simulated clock: work before a tick is due, and its start."""

import pytest

from vdd_ros.nodes.policy.early_wake import KEPT_INTERVALS, ArrivalPredictor, EarlyWake, WarmUpRuns

MS = 1_000_000
DUE_NS = 1_000 * MS


class Bench:
    """A clock that receiving and dry runs move, each by a fixed time; both are noted with the time they began."""

    def __init__(self, now_ns: int, early_s: float, *, run_ns: int = MS // 2, first_ns: int | None = None) -> None:
        self.now_ns = now_ns
        self.warm_up_runs: list[int] = []
        self.receptions: list[int] = []
        self.takes_ns = run_ns
        self._first_ns = run_ns if first_ns is None else first_ns
        self.runs = WarmUpRuns(
            early_s, run_ns * 1e-9, now_ns=lambda: self.now_ns, dry_run=self._dry_run, receive=self._receive
        )
        self.wake = EarlyWake(self.runs)

    def _dry_run(self) -> None:
        self.now_ns += self.takes_ns if self.warm_up_runs else self._first_ns
        self.warm_up_runs.append(self.now_ns)

    def _receive(self) -> None:
        self.receptions.append(self.now_ns)
        self.now_ns += 10_000


def test_the_tick_begins_when_it_is_due() -> None:
    """However early the node woke within its time: late by one reception at most."""
    for woke_ns in range(DUE_NS - 2 * MS, DUE_NS, 77_777):
        bench = Bench(woke_ns, 0.002)
        late_ns = bench.wake.until(DUE_NS)
        assert 0 <= late_ns <= 10_000
        assert bench.now_ns == DUE_NS + late_ns


def test_it_does_dry_runs_until_there_is_no_time_for_another() -> None:
    bench = Bench(DUE_NS - 2 * MS, 0.002)
    bench.wake.until(DUE_NS)
    assert len(bench.warm_up_runs) == 3
    assert bench.warm_up_runs[-1] <= DUE_NS


@pytest.mark.parametrize(("longest_s", "ahead_ns"), [(0.0, 2 * MS), (0.0024, 24 * MS // 10), (0.01, 27 * MS // 10)])
def test_a_host_that_wakes_it_late_is_asked_earlier(longest_s: float, ahead_ns: int) -> None:
    """By 0.7 ms here: it is awake for 2 ms then, unless that would be earlier than it may wake."""
    bench = Bench(0, 0.002)
    wake = EarlyWake(bench.runs, longest_s)
    for _ in range(200):
        bench.now_ns = DUE_NS - wake.ahead_ns + 7 * MS // 10
        assert 0 <= wake.until(DUE_NS) <= 10_000
    assert wake.ahead_ns == pytest.approx(ahead_ns, abs=10)
    for _ in range(200):
        bench.now_ns = DUE_NS - wake.ahead_ns
        wake.until(DUE_NS)
    assert wake.ahead_ns == pytest.approx(2 * MS, abs=10)


def test_the_last_dry_run_ends_just_before_the_tick() -> None:
    """What the core does after it cools the caches; so the node waits before it, not after it."""
    for woke_ns in range(DUE_NS - 2 * MS, DUE_NS - MS // 2 - 20_000, 77_777):
        bench = Bench(woke_ns, 0.002)
        bench.wake.until(DUE_NS)
        assert DUE_NS - 30_000 <= bench.warm_up_runs[-1] <= DUE_NS


@pytest.mark.parametrize("really_ns", [MS // 4, MS])
def test_how_long_a_dry_run_takes_is_learned(really_ns: int) -> None:
    """Where the core is slower or faster than it was when the policy was loaded."""
    bench = Bench(DUE_NS - 2 * MS, 0.002, first_ns=really_ns)
    bench.takes_ns = really_ns
    for _ in range(50):
        bench.now_ns = DUE_NS - 2 * MS
        late_ns = bench.wake.until(DUE_NS)
    assert late_ns <= 40_000
    assert DUE_NS - 60_000 <= bench.warm_up_runs[-1] <= DUE_NS + 40_000


def test_cold_dry_runs_leave_room_for_warm_ones() -> None:
    """The first one after each sleep takes three times as long; others follow, also once the host was slow for long."""
    bench = Bench(DUE_NS - 2 * MS, 0.002, run_ns=3 * MS // 10, first_ns=9 * MS // 10)
    for bench.takes_ns in [9 * MS // 10] * 50 + [3 * MS // 10] * 50:
        bench.warm_up_runs.clear()
        bench.now_ns = DUE_NS - 19 * MS // 10
        late_ns = bench.wake.until(DUE_NS)
    assert len(bench.warm_up_runs) >= 3
    assert late_ns <= 40_000
    assert bench.warm_up_runs[-1] >= DUE_NS - 60_000


def test_messages_are_received_between_dry_runs_and_last() -> None:
    """What arrives while the last dry run runs is still in time."""
    bench = Bench(DUE_NS - 2 * MS, 0.002)
    bench.wake.until(DUE_NS)
    assert all(any(done <= at < done + 10_000 for at in bench.receptions) for done in bench.warm_up_runs)
    assert bench.receptions[-1] >= DUE_NS - 10_000


def test_a_policy_that_needs_longer_than_there_is_does_not_delay_the_tick() -> None:
    bench = Bench(DUE_NS - 2 * MS, 0.002, run_ns=3 * MS)
    assert bench.wake.until(DUE_NS) <= 10_000
    assert not bench.warm_up_runs


def test_a_cold_dry_run_that_overruns_counts_as_lateness() -> None:
    bench = Bench(DUE_NS - 2 * MS, 0.002, first_ns=5 * MS)
    assert bench.wake.until(DUE_NS) == pytest.approx(3 * MS, abs=50_000)
    assert len(bench.warm_up_runs) == 1


@pytest.mark.parametrize("early_s", [0.0, 0.002])
def test_a_late_node_ticks_at_once_after_receiving(early_s: float) -> None:
    bench = Bench(DUE_NS + MS, early_s)
    assert bench.wake.until(DUE_NS) == MS + 10_000
    assert (len(bench.receptions), bench.warm_up_runs) == (1, [])


def test_a_clock_that_was_set_back_is_not_waited_for() -> None:
    """Simulated time that starts again must not hold the node, which wakes just then, for ever."""
    bench = Bench(DUE_NS - 3600 * 1000 * MS, 0.0)
    assert bench.wake.until(DUE_NS) < 0
    assert not bench.warm_up_runs


class Sensor:
    """A clock, and observations that come at instants of it; looking takes 10 us, a dry run half a millisecond."""

    def __init__(self, early_s: float, arrivals_ns: list[int]) -> None:
        self.now_ns = 0
        self.arrivals_ns = arrivals_ns
        self.taken = self.ticked = 0
        self.warm_up_runs: list[int] = []
        warm_up_runs = WarmUpRuns(
            early_s, 0.0005, now_ns=lambda: self.now_ns, dry_run=self._dry_run, receive=self._receive
        )
        self.ahead = ArrivalPredictor(warm_up_runs, lambda: self.taken > self.ticked)

    def run(self) -> list[int]:
        """Wait for every observation; return how long after its arrival each was noticed."""
        delays = []
        while self.ticked < len(self.arrivals_ns):
            arrival_ns = self.arrivals_ns[self.ticked]
            if sleep_s := self.ahead.sleep_s():
                self.now_ns = min(max(arrival_ns, self.now_ns), self.now_ns + round(1e9 * min(sleep_s, 1.0)))
                self._receive()
            else:
                self.ahead.watch()
            if self.taken > self.ticked:
                self.ticked += 1
                delays.append(self.now_ns - arrival_ns)
                self.ahead.arrived()
        return delays

    def _dry_run(self) -> None:
        self.warm_up_runs.append(self.now_ns)
        self.now_ns += MS // 2

    def _receive(self) -> None:
        self.taken = sum(arrival <= self.now_ns for arrival in self.arrivals_ns)
        self.now_ns += 10_000


def test_an_observation_that_comes_as_expected_finds_a_warm_core_and_no_delay() -> None:
    """Once the interval is known: warm_up_runs within the last 2 ms, none that runs when it comes."""
    sensor = Sensor(0.002, [10 * MS * number for number in range(1, 31)])
    delays = sensor.run()
    assert max(delays) <= 20_000
    after = KEPT_INTERVALS + 1
    for arrival_ns in sensor.arrivals_ns[after:]:
        assert [at for at in sensor.warm_up_runs if arrival_ns - 2 * MS <= at <= arrival_ns - MS // 2]


def test_before_the_interval_is_known_and_without_waking_early_there_is_no_dry_run() -> None:
    few = Sensor(0.002, [10 * MS * number for number in range(1, KEPT_INTERVALS + 1)])
    few.run()
    never = Sensor(0.0, [10 * MS * number for number in range(1, 31)])
    never.run()
    assert (few.warm_up_runs, never.warm_up_runs) == ([], [])


def test_a_sensor_that_stops_is_not_watched_for_ever() -> None:
    """It stays awake for 2 ms beyond the instant, and then sleeps until the next arrival, which it notices."""
    arrivals = [10 * MS * number for number in range(1, 21)] + [1000 * MS]
    sensor = Sensor(0.002, arrivals)
    delays = sensor.run()
    assert delays[-1] <= 20_000
    assert sum(1 for at in sensor.warm_up_runs if at > 215 * MS) == 0


def test_an_observation_that_comes_early_waits_for_one_dry_run_at_most() -> None:
    arrivals = [10 * MS * number for number in range(1, 21)]
    arrivals.append(arrivals[-1] + 9 * MS)
    assert max(Sensor(0.002, arrivals).run()) <= MS // 2 + 20_000
