"""How a soak judges, on series made up for it; and one very short soak over real DDS."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag
from matplotlib.image import imread
from policy_files import write_diffusion, write_mixture

from vdd_ros.bags.latency import NodeLatency
from vdd_ros.bags.sequence import SequenceCheck
from vdd_ros.cli.main import main
from vdd_ros.demo import soak as soak_command
from vdd_ros.demo.demo import Demo
from vdd_ros.demo.run import Run
from vdd_ros.demo.soak_figure import save_figure
from vdd_ros.demo.soak_judge import Floats, Growth, judge_memory, judge_record, problems
from vdd_ros.errors import ProcessError
from vdd_ros.evaluation.latency.deadline_misses import judge_deadlines, judge_silences
from vdd_ros.host.monitor import HostMonitor, Preemptions

SECONDS = np.arange(0, 600.0)
PERIOD_S = 0.035
SETTLING_MB = 30 * (1 - np.exp(-SECONDS / 8))
"""What every node does in its first minute."""


@pytest.mark.parametrize(
    ("growing_mb", "leaks"),
    [
        (0 * SECONDS, False),
        (np.where(SECONDS < 60, 0.0, 0.9), False),
        (np.where(SECONDS > 300, 1.2, 0.0), True),
        (SECONDS / 600 * 1.1, False),
        (SECONDS / 600 * 1.5, True),
        (np.where(SECONDS % 10 < 4, 5.0, 0.0), False),
    ],
    ids=["none", "small", "a step", "slow", "steady", "to and fro"],
)
def test_growth_after_the_first_minute_is_a_leak(growing_mb: Floats, leaks: bool) -> None:
    noise = 0.05 * np.random.default_rng(0).normal(size=len(SECONDS))
    found = judge_memory("node", SECONDS, 80 + SETTLING_MB + growing_mb + noise)
    assert found.leaks == leaks
    assert bool(problems([found], [], [])) == leaks


def test_a_short_soak_compares_halves_of_what_follows_the_first_minute() -> None:
    seconds = np.arange(0, 91.0)
    megabytes = np.where(seconds < 60, 500.0, np.where(seconds <= 75, 100.0, 103.0))
    found = judge_memory("node", seconds, megabytes)
    assert (found.before_mb, found.after_mb, found.leaks) == (100.0, 103.0, True)


DISORDER = "two nodes of one name, or one that restarted and whose first records are missing"


def checked(*numbers: int) -> SequenceCheck:
    sequence = SequenceCheck()
    for number in numbers:
        sequence.add(number)
    return sequence


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (range(5), ""),
        ((0, 1, 4, 5), "/n: 2 of 6 records missing (sequence numbers 2 to 3)"),
        ((3, 4, 5), "/n: the record begins with 3"),
        ((0, 1, 0, 1), "/n: numbers restarted 1 time"),
        ((0, 1, 1, 2), f"/n: sequence numbers come twice 1 time and go back 0 times (1 after 1): {DISORDER}"),
        ((), "/n: the record begins with None"),
    ],
)
def test_records_are_whole_or_not(numbers: tuple[int, ...], message: str) -> None:
    assert judge_record("/n", checked(*numbers)) == message


def latency(taken_s: Floats) -> NodeLatency:
    """Return the records of a node whose tick k is due at 1000 + k periods and ends so much later, half of it late."""
    labels = ("seq", "stamp_s", "lateness_s", "total_s", "deadline_missed")
    due = 1000 + PERIOD_S * np.arange(len(taken_s))
    columns = (np.arange(len(taken_s)), due + taken_s / 2, taken_s / 2, taken_s / 2, taken_s > PERIOD_S)
    return NodeLatency("/n", labels, np.stack(columns, axis=1).astype(float), checked(*range(len(taken_s))))


@pytest.mark.parametrize(
    ("pauses", "explained"),
    [
        ([], False),
        ([(0.0, 0.030)], True),
        ([(0.005, 0.010), (0.020, 0.010)], True),
        ([(0.0, 0.010)], False),
        ([(-0.060, 0.055)], False),
        ([(0.045, 0.050)], False),
        ([(-0.040, 0.065)], True),
    ],
    ids=["none", "all of it", "in pieces", "a part", "before", "after", "from before"],
)
def test_a_miss_is_explained_by_pauses_of_the_host_within_it(
    pauses: list[tuple[float, float]], explained: bool
) -> None:
    """The tick takes 40 ms where 1 is usual; the pauses begin so long after it was due, and last so long."""
    taken = np.full(200, 0.001)
    taken[150] = 0.040
    due = 1000 + 150 * PERIOD_S
    spans = np.array([(due + start, due + start + length) for start, length in pauses]).reshape(-1, 2)
    for monitors in ([Preemptions(spans), Preemptions()], [Preemptions(), Preemptions(spans)]):
        (miss,) = judge_deadlines(latency(taken), monitors)
        assert (miss.seq, miss.explained) == (150, explained)
        assert miss.due_s == pytest.approx(due)
        assert miss.usual_s == pytest.approx(0.001)
        assert bool(problems([], [], [miss])) != explained


def test_ticks_that_did_not_act_are_missed_too() -> None:
    """Eight of them leave no record; one may fail where an episode begins."""
    whole = latency(np.full(200, 0.001))
    values = np.delete(whole.values, [60, *range(150, 158)], axis=0)
    holes = NodeLatency("/n", whole.labels, values, whole.sequence)
    assert judge_deadlines(holes, [Preemptions()]) == []
    (miss,) = judge_silences(holes, [Preemptions()])
    assert miss.due_s == pytest.approx(1000 + 150 * PERIOD_S)
    assert miss.taken_s == pytest.approx(8 * PERIOD_S + 0.001)
    assert not miss.explained
    away = Preemptions(np.array([(miss.due_s, miss.due_s + 0.2)]))
    assert judge_silences(holes, [Preemptions(), away])[0].explained


def test_of_a_span_no_more_counts_than_lies_within() -> None:
    preemptions = Preemptions(np.array([(20.0, 21.0), (10.0, 12.0), (11.0, 11.5), (11.5, 12.5)]))
    assert preemptions.within(0.0, 30.0) == 2.5 + 1.0
    assert preemptions.within(11.25, 20.5) == 1.25 + 0.5
    assert preemptions.within(13.0, 19.0) == preemptions.within(22.0, 23.0) == 0.0


def test_first_ticks_may_miss_their_deadlines() -> None:
    taken = np.full(100, 0.001)
    taken[[3, 19]] = 0.5
    assert judge_deadlines(latency(taken), [Preemptions()]) == []


def test_a_process_that_has_ended_has_no_memory() -> None:
    assert soak_command.resident_mb(os.getpid()) > 10
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert math.isnan(soak_command.resident_mb(ended.pid))
    assert not Growth("n", math.nan, math.nan).leaks


@pytest.mark.timing
def test_the_monitor_notices_that_it_was_stopped(tmp_path: Path) -> None:
    """A stopped process is what a host looks like that is away."""
    with HostMonitor(tmp_path / "s.npz", {}) as monitor:
        wait_until(lambda: switches(monitor._process.pid) > 200, "its wakes")
        stat = Path(f"/proc/{monitor._process.pid}/stat")
        before = time.time()
        monitor._process.send_signal(signal.SIGSTOP)
        wait_until(lambda: ") T " in stat.read_text() and time.time() > before + 0.2, "its stop")
        monitor._process.send_signal(signal.SIGCONT)
        after, seen = time.time(), switches(monitor._process.pid)
        wait_until(lambda: switches(monitor._process.pid) > seen + 10, "its going on")
    assert monitor.wakes > 100
    begin, end = max(monitor.own.spans, key=lambda span: float(span[1] - span[0]))
    assert end - begin > 0.19
    assert before - 0.01 < begin < after


@pytest.mark.timing
def test_the_monitor_notices_that_a_process_waits_for_a_core(tmp_path: Path) -> None:
    """Two that never sleep share one core: each waits about half of the time."""
    core = min(os.sched_getaffinity(0))
    busy = [sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"]
    busy_processes = [subprocess.Popen(busy) for _ in range(2)]
    try:
        wait_until(lambda: all(processor_s(process.pid) > 0.2 for process in busy_processes), "both to run")
        with HostMonitor(tmp_path / "s.npz", {"one": busy_processes[0].pid}) as monitor:
            wait_until(lambda: switches(monitor._process.pid) > 50, "the monitor")
            began, used = time.time(), processor_s(busy_processes[0].pid)
            wait_until(lambda: time.time() > began + 1.0, "a second")
            ended, used = time.time(), processor_s(busy_processes[0].pid) - used
            seen = switches(monitor._process.pid)
            wait_until(lambda: switches(monitor._process.pid) > seen + 10, "its going on")
    finally:
        for process in busy_processes:
            process.kill()
            process.wait()
    waited = monitor.nodes["one"].within(began, ended)
    assert waited == pytest.approx(ended - began - used, abs=0.15)
    assert waited > 0.2


def test_a_monitor_that_ends_by_itself_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vdd_ros.host.monitor._MODULE", "vdd_ros.cli.nowhere")
    with HostMonitor(tmp_path / "s.npz", {}) as monitor:
        monitor._process.wait()
        with pytest.raises(
            ProcessError, match=r"the host monitor ended with exit code 1, so preemptions were not recorded: .*nowhere"
        ):
            monitor.check()
    assert "exit code 1" in monitor.failure


def test_a_monitor_that_cannot_keep_what_it_saw_is_an_error_too(tmp_path: Path) -> None:
    (tmp_path / "s.npz").mkdir()
    with HostMonitor(tmp_path / "s.npz", {}) as monitor:
        wait_until(lambda: switches(monitor._process.pid) > 200, "its wakes")
        monitor.check()
    assert "IsADirectoryError" in monitor.failure


class FakeNodes:
    """Stands for nodes; one of them dies after two looks."""

    pids = dict.fromkeys(("student", "sim_robot"), os.getpid())

    def __init__(self, dies: str) -> None:
        self._looks, self._dies = 0, dies

    def ended(self, _name: str) -> bool:
        self._looks += 1
        if self._looks > 2 and self._dies:
            raise ProcessError(self._dies)
        return False

    def stop(self, _name: str) -> None:
        """There is nothing to stop."""


def soak_of_fakes(
    out: Path, monkeypatch: pytest.MonkeyPatch, nodes: FakeNodes, seconds: float, bag: bool = True
) -> soak_command.SoakReport:
    """Soak nodes that are none; of the student a bag is left in which one tick of 80 missed its deadline."""

    def execute(run: Run, watch: Any) -> None:
        if bag:
            values = np.zeros((80, len(LABELS)))
            values[:, LABELS.index("seq")] = np.arange(80)
            values[:, LABELS.index("stamp_s")] = time.time() + 0.035 * np.arange(80)
            values[60, LABELS.index("deadline_missed")] = 1
            values[60, LABELS.index("total_s")] = 0.5
            write_bag(run.bag, {"/student": values})
        watch(nodes, run)

    monkeypatch.setattr(soak_command, "execute", execute)
    return soak_command.soak(Demo(out, {"student": out}, 1, 0, 1.0, 0), seconds=seconds)


def test_a_node_that_dies_in_the_first_minute_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    died = "student ended with exit code 3; the end of its log"
    report = soak_of_fakes(tmp_path / "out", monkeypatch, FakeNodes(died), 90.0)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["status"] == "failed"
    assert died in report["problems"]
    assert [node["growth_mb"] for node in report["memory"]] == [None, None]
    assert died in capsys.readouterr().out


def test_where_there_is_no_bag_the_node_that_died_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = "bag_recorder ended with exit code 1; the end of its log"
    with pytest.raises(ProcessError, match=died):
        soak_of_fakes(tmp_path / "out", monkeypatch, FakeNodes(died), 90.0, bag=False)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["status"] == "failed"
    assert report["reason"].startswith(died)


def test_without_a_monitor_no_miss_is_called_unexplained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vdd_ros.host.monitor._MODULE", "vdd_ros.cli.nowhere")
    report = soak_of_fakes(tmp_path / "out", monkeypatch, FakeNodes(""), 60.0)
    (problem,) = report["problems"]
    assert problem.startswith("the host monitor ended with exit code 1, so preemptions were not recorded")
    assert [miss["explained"] for miss in report["misses"]] == [None]
    assert problem in capsys.readouterr().out


def test_the_figure_bears_nodes_that_ended(tmp_path: Path) -> None:
    memory = {"lives": np.full(90, 50.0), "ended": np.where(np.arange(90) < 30, 50.0, np.nan)}
    for count in (90, 40, 1):
        seconds = np.arange(float(count))
        save_figure(tmp_path / "s.png", 0.0, seconds, {n: m[:count] for n, m in memory.items()}, [], 60.0)
        assert min(imread(tmp_path / "s.png").shape[:2]) > 300


@pytest.mark.parametrize("last_s", [30.0, 59.0, 60.4])
def test_memory_of_a_soak_that_ended_with_the_warm_up_is_not_judged(last_s: float) -> None:
    seconds = np.append(np.arange(0, np.floor(last_s)) + 0.1, last_s)
    found = judge_memory("node", seconds, 80 + seconds)
    assert math.isnan(found.growth_mb)
    assert not found.leaks


def processor_s(pid: int) -> float:
    """Return for how long the main thread of a process has run."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) * 1e-9


def switches(pid: int) -> int:
    """Return how often a process has gone to sleep."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["voluntary_ctxt_switches"])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


def test_too_short_a_soak_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["soak", "--minutes", "1", "--out", str(tmp_path / "out")]) == 2
    assert "--minutes is 1; it must be from 1.5 to 100,000" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.ros
@pytest.mark.timing
def test_a_few_seconds_of_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every part is there, and a node that was stopped for a while, which is no fault of the host, is found."""
    pytest.importorskip("rclpy")
    files = {
        "student": write_mixture(tmp_path / "student.onnx"),
        "teacher": write_diffusion(tmp_path / "teacher.onnx", steps=8),
    }
    looks: list[int] = []
    resident_mb = soak_command.resident_mb

    def look(pid: int) -> float:
        if b"__node:=student" in Path(f"/proc/{pid}/cmdline").read_bytes():
            looks.append(pid)
            if len(looks) == 9:
                os.kill(pid, signal.SIGSTOP)
                began = time.monotonic()
                wait_until(lambda: time.monotonic() > began + 0.3, "the end of its stop")
                os.kill(pid, signal.SIGCONT)
        return resident_mb(pid)

    monkeypatch.setattr(soak_command, "resident_mb", look)
    out = tmp_path / "out"
    report: Any = soak_command.soak(Demo(out, files, 1, 0, 1.0, 0), seconds=10.0, warm_up_s=4.0)
    shown = capsys.readouterr().out
    assert report == json.loads((out / "report.json").read_text())
    assert [node["name"] for node in report["memory"]] == ["bag_recorder", "sim_robot", "student", "teacher"]
    assert all(node["before_mb"] > 10 for node in report["memory"])
    assert set(report["ticks"]) == {"/student", "/teacher"}
    assert not any("missing" in problem or "begins" in problem for problem in report["problems"])
    assert report["host_away"]["wakes"] > 1000
    assert set(report["host_away"]) == {"wakes", "monitor", "student", "teacher", "sim_robot"}
    stopped = [miss for miss in report["misses"] if miss["node"] == "/student" and miss["taken_s"] > 0.25]
    assert stopped
    assert not any(miss["explained"] for miss in stopped)
    assert report["status"] == "failed"
    assert "MB at the end" in shown
    assert min(imread(out / "soak.png").shape[:2]) > 300
