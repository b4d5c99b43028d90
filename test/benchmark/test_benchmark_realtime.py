"""Figures of the node at control rate, from measurements that are made up here."""

import json
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from tick_records import LABELS, PERIOD_S, RATE_HZ, at, measured

from vdd_ros.benchmark.checkouts import Checkout
from vdd_ros.benchmark.realtime import PARTS, against, judge
from vdd_ros.benchmark.realtime import suite as realtime
from vdd_ros.benchmark.realtime.figures import RealtimeRecord
from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, ProcessError, VddError
from vdd_ros.host.monitor import Preemptions


def test_a_node_in_time_misses_nothing() -> None:
    found = judge.punctuality(measured(), RATE_HZ)
    assert (found["ticks"], found["missed"], found["missed_by_a_period"], found["lost"]) == (100, 0, 0, 0)
    assert found["records_missing"] == 0
    assert found["total_s"]["p50"] == pytest.approx(0.3 * PERIOD_S)


def test_deadlines_missed_and_missed_by_a_period_are_distinguished() -> None:
    """A tick of .3 periods that is late by .8 misses its deadline, by 1.8 it does so by more than a period."""
    late = at({10: 0.8 * PERIOD_S, 20: 1.8 * PERIOD_S, 30: 0.6 * PERIOD_S}, 0.0)
    found = judge.punctuality(measured(lateness_s=late), RATE_HZ)
    assert (found["missed"], found["missed_by_a_period"]) == (2, 1)


def test_a_miss_is_the_hosts_where_a_witness_saw_it_away() -> None:
    """Two ticks that take 1.5 and 2.5 periods; during the second one the host was away."""
    found = measured(total_s=at({20: 1.5 * PERIOD_S, 40: 2.5 * PERIOD_S}, 0.3 * PERIOD_S))
    began = found["records"][judge.WARM_UP + 40, LABELS.index("stamp_s")]
    away = Preemptions(np.array([[began, began + 2 * PERIOD_S]]))
    judged = judge.blame(found, [Preemptions(), away], RATE_HZ)
    assert (judged["missed_explained"], judged["missed_by_a_period_explained"]) == (1, 1)
    assert [miss["seq"] for miss in judged["misses"]] == [20, 40]
    nothing = judge.blame(found, [Preemptions()], RATE_HZ)
    assert (nothing["missed_explained"], nothing["missed_by_a_period_explained"]) == (0, 0)


def test_ticks_that_the_schedule_left_out_are_lost() -> None:
    """Of three periods from tick to tick two instants are lost; of a tick that is late by .6 periods none is."""
    late = at({50: 0.6 * PERIOD_S}, 0.0)
    stamps = 1000.0 + PERIOD_S * np.arange(100.0) + late
    stamps[5:] += 2 * PERIOD_S
    found = measured(stamp_s=stamps, lateness_s=late)
    assert judge.lost_ticks(found, RATE_HZ) == 2


def test_a_record_that_never_came_is_no_lost_tick() -> None:
    sequence, stamps = np.arange(100.0), 1000.0 + PERIOD_S * np.arange(100.0)
    sequence[50:] += 3
    stamps[50:] += 3 * PERIOD_S
    assert judge.lost_ticks(measured(seq=sequence, stamp_s=stamps), RATE_HZ) == 0


def test_records_that_never_came_are_counted() -> None:
    sequence = np.arange(100.0)
    sequence[50:] += 3
    assert judge.punctuality(measured(seq=sequence), RATE_HZ)["records_missing"] == 3


def test_observations_without_an_answer_are_counted_and_left_out() -> None:
    found = judge.percentiles(np.array([1.0, np.nan, 3.0]))
    assert (found["count"], found["unanswered"], found["p50"], found["max"]) == (2, 1, 2.0, 3.0)


def test_networks_are_compared_within_each_round() -> None:
    """A host that is three times as slow in half of the rounds changes nothing, and one slow call neither."""
    networks = pytest.importorskip("vdd_ros.benchmark.realtime.networks")
    host = np.array([1.0, 3.0] * 4)[:, None]
    fast, slow = 1e-4 * host * np.ones((8, 10)), 4e-4 * host * np.ones((8, 10))
    fast[:, 3] *= 50
    assert networks.speedup(slow, fast) == pytest.approx(4.0)


def a_record() -> RealtimeRecord:
    times = judge.percentiles(np.linspace(1e-4, 2e-4, 101))
    node = judge.punctuality(measured(), RATE_HZ) | judge.blame(measured(), [Preemptions()], RATE_HZ)
    drivers = [
        {"driver": name, "rate_hz": 200.0, "busy": busy, "lateness_s": times, "missed": 1, "cpu": 0.25}
        for name in ("timer", "thread")
        for busy in (0, 2)
    ]
    names = ("student", "teacher 4", "student torch", "teacher 4 torch")
    network = {
        "seconds": {name: {"p50": 1e-4 * (1 + index), "interval": [0, 1]} for index, name in enumerate(names)},
        "speedup": {"4": 3.25},
        "speedup_torch": {"4": 1.5},
    }
    machine = {"cpu": "a processor", "cores": 2, "kernel": "6.1", "preempt_rt": False, "load": 0.1}
    record = {
        "measured_at": {"ticks": "2026-01-02T03:04:05+00:00", "rates": "2026-01-02T04:05:06+00:00"},
        "machine": machine,
        "versions": {"onnxruntime": "1.31"},
        "tick_over_parts_p50": 1.25,
        "tick_p99_over_p50": 1.75,
        "ticks": {"tick_s": times, "parts_s": times},
        "arrival_over_echo_p50": 1.125,
        "arrivals": {"answer_s": times, "echo_s": times, "inference_s": times},
        "speedup_over_n_step": {"4": 3.25},
        "networks": {"gpt": network},
        "drivers": drivers,
        "swap_ticks_lost": 0,
        "swaps": {"asked": 2, "succeeded": 2, "ticks": 400},
        "rates": {"200": node},
        "missed_200hz": 0,
        "fifo": None,
    }
    return cast(RealtimeRecord, record)


def under_fifo() -> RealtimeRecord:
    record = dict(a_record())
    keys = ("tick_over_parts_p50", "tick_p99_over_p50", "ticks", "swap_ticks_lost", "swaps", "rates", "missed_200hz")
    fifo = {key: record[key] for key in keys} | {"tick_over_parts_p50": 1.125, "swap_ticks_lost": 3}
    return cast(RealtimeRecord, record | {"fifo": fifo})


def test_the_page_shows_every_figure_beside_its_aim(tmp_path: Path) -> None:
    page = tmp_path / "realtime.md"
    page.write_text(f"before\n{judge.BEGIN}\nold\n{judge.END}\nafter\n")
    judge.update_page(page, a_record())
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| whole tick over baseline, medians, 200 Hz | 1.25 |  | 1.3 at most |" in text
    assert "| student over teacher of 4 steps, GPT | 3.25 |  | 3 at least |" in text
    assert "| GPT, teacher 4 steps | 200 | 400 | 3.25 | 1.50 |" in text
    assert "| 200 Hz, every core busy | thread |" in text
    assert "Measured ticks: 2026-01-02 03:04 UTC; rates: 2026-01-02 04:05 UTC. 2 cores" in text
    judge.update_page(page, a_record())
    assert page.read_text() == text


def test_the_page_shows_what_was_measured_under_fifo_beside_it(tmp_path: Path) -> None:
    text = judge.render(under_fifo())
    assert "| whole tick over baseline, medians, 200 Hz | 1.25 | 1.12 | 1.3 at most |" in text
    assert "| ticks lost by hot swaps | 0 | 3 | 0 |" in text
    assert "| 200 Hz, SCHED_FIFO | 100 |" in text
    assert "| tick, SCHED_FIFO | 150 |" in text
    assert "under SCHED_FIFO" in judge.table(under_fifo())


def test_a_host_that_refuses_fifo_is_not_measured_under_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(realtime, "settle", lambda _: ["the host refuses SCHED_FIFO"])
    assert realtime._fifo(None, realtime.Extent(), Path()) is None  # type: ignore[arg-type]
    assert "the host refuses SCHED_FIFO" in capsys.readouterr().err


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ConfigurationError, match="lacks the lines"):
        judge.update_page(page, a_record())
    assert page.read_text() == "nothing\n"


def test_the_terminal_and_the_figure_show_a_record_without_drivers_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for record in (a_record(), a_record() | {"drivers": []}):
        assert "deadlines missed at 200 Hz" in judge.table(record)
        judge.draw(tmp_path / "realtime.png", record)
        assert (tmp_path / "realtime.png").stat().st_size > 10_000


@pytest.mark.parametrize("content", [None, "{", "{}", '{"measured_at": {"ticks": "2026-01-02T03:04:05+00:00"}}'])
def test_measuring_some_again_needs_a_whole_record(tmp_path: Path, content: str | None) -> None:
    results = tmp_path / "realtime.json"
    if content is not None:
        results.write_text(content)
    with pytest.raises(ConfigurationError, match=r"[Mm]easure everything once"):
        realtime._read(results)


def test_what_is_measured_again_replaces_its_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = a_record() | {"measured_at": dict.fromkeys(PARTS, "2026-01-02T03:04:05+00:00")}
    monkeypatch.setattr(realtime, "_swaps", lambda *_: {"swap_ticks_lost": 7})
    file = Path(__file__).parents[2] / "models" / "avoiding_student.onnx"
    found = realtime.measure(file, file, realtime.QUICK, tmp_path, ["swaps"], before)
    assert (found["swap_ticks_lost"], found["tick_over_parts_p50"]) == (7, 1.25)
    assert found["measured_at"]["swaps"] != found["measured_at"]["ticks"] == "2026-01-02T03:04:05+00:00"


def test_two_measurements_into_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second would disturb the first, and one of the records would be lost."""
    results = tmp_path / "realtime.json"

    def measure(*_: Any) -> dict[str, Any]:
        with pytest.raises(VddError, match=rf"is in use by process {os.getpid()}"):
            realtime.measure_into(results, quick=True, only=None, shown=lambda _: None)
        raise RuntimeError("the first goes on")

    monkeypatch.setattr(realtime, "measure", measure)
    with pytest.raises(RuntimeError, match="goes on"):
        realtime.measure_into(results, quick=True, only=None, shown=lambda _: None)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_and_writes_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(realtime, "measure", lambda *_: a_record())
    results, copy = tmp_path / "realtime.json", tmp_path / "copy.json"
    assert main(["benchmark", "realtime", "--quick", "--results", str(results), "--json", str(copy)]) == 0
    assert json.loads(copy.read_text()) == json.loads(results.read_text())
    assert capsys.readouterr().out.strip() == judge.table(a_record() | {"quick": True}).strip()


TICKING = """
import json, sys
from pathlib import Path
words = sys.argv[1:]
assert words[:5] == ["benchmark", "realtime", "--quick", "--only", "ticks"]
file = Path(words[words.index("--results") + 1])
record, count = json.loads(file.read_text()), Path("count")
with count.open("a") as log:
    log.write("x")
seconds = record["base"] * (1 + 0.1 * len(count.read_text()))
file.write_text(json.dumps({{"tick_over_parts_p50": 1e4 * seconds, "ticks": {ticks}}}))
"""


def ticking(folder: Path, base: float, ticks: str = '{"tick_s": {"p50": seconds}}') -> Path:
    """Make a checkout whose n-th round has ticks of `base` (1 + n / 10) s."""
    (folder / "vdd_ros" / "cli").mkdir(parents=True)
    (folder / "vdd_ros" / "cli" / "main.py").write_text(TICKING.format(ticks=ticks))
    (folder / "results").mkdir()
    (folder / "results" / "realtime.json").write_text(json.dumps({"base": base}))
    return folder


def test_ticks_of_two_checkouts_are_compared_round_by_round(tmp_path: Path) -> None:
    one, two = (ticking(tmp_path / name, base) for name, base in (("one", 2e-4), ("two", 1e-4)))
    calls: list[None] = []
    found = against.compare((Checkout.of("this", one), Checkout.of("other", two)), 3, lambda: calls.append(None))
    assert found["this"]["seconds"] == pytest.approx([2.2e-4, 2.4e-4, 2.6e-4])
    assert found["other"]["over_parts"] == pytest.approx([1.1, 1.2, 1.3])
    assert (found["other"]["over_parts_p50"], found["ratio_p50"]) == pytest.approx((1.2, 2.0))
    assert len(calls) == 6
    assert "this    2.40 (2.20 to 2.60)" in against.table(found)
    assert json.loads((one / "results" / "realtime.json").read_text()) == {"base": 2e-4}, "its results stay"


def test_a_checkout_that_measured_nothing_is_named(tmp_path: Path) -> None:
    whole, bare = ticking(tmp_path / "whole", 1e-4), ticking(tmp_path / "bare", 1e-4)
    (bare / "results" / "realtime.json").unlink()
    with pytest.raises(ConfigurationError, match=r"bare holds no results/realtime\.json; measure there once"):
        against.compare((Checkout.of("this", whole), Checkout.of("other", bare)), 1, lambda: None)
    silent = ticking(tmp_path / "silent", 1e-4, "{}")
    with pytest.raises(ProcessError, match="of other wrote no ticks"):
        against.compare((Checkout.of("this", whole), Checkout.of("other", silent)), 1, lambda: None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "3"], "--rounds with --against or --policies"),
        (["--against", ".", "--quick"], "--against DIR goes with --rounds and --json alone"),
        (["--against", "nowhere"], "holds no vdd_ros/cli/main.py"),
        (["--against", ".", "--rounds", "0"], "--rounds is 0; it must be from 1"),
        (["--policies", "p.onnx", "--quick"], "--policies FILE goes with --rounds, --docs and --json alone"),
        (["--policies", "p.onnx", "--against", "."], "--policies FILE goes with --rounds, --docs and --json alone"),
        (["--policies", "nowhere.onnx"], "nowhere.onnx"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "realtime", *options]) == 2
    assert message in capsys.readouterr().err
