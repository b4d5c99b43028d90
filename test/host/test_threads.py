"""How many threads are chosen, and that they sleep where they wait."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vdd_ros.errors import ConfigurationError
from vdd_ros.host import threads
from vdd_ros.host.threads import SLEEPING, CoreMeter, choose_threads, free_cores, sleep_at_barriers, usable_cores


def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, busy: list[float], ticks: int = 100) -> None:
    """Let a kernel with a core for each share of `busy` count while this process looks."""
    file = tmp_path / "stat"

    def write(passed: int) -> None:
        rows = [f"cpu{core} {round(share * passed)} 0 0 {round((1 - share) * passed)} 0 0 0 0 0 0"
                for core, share in enumerate(busy)]  # fmt: skip
        file.write_text("\n".join(["cpu 1 2 3 4 5 6 7 8 0 0", *rows, "intr 5", "ctxt 9"]))

    write(0)
    monkeypatch.setattr(threads, "STAT", file)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(len(busy))))
    monkeypatch.setattr("vdd_ros.host.threads.time.sleep", lambda _seconds: write(ticks))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("busy", "expected"),
    [([0, 0], 2), ([1, 0], 1), ([1, 1], 1), ([0.4, 0.3], 1), ([0.2, 0.1], 2), ([0] * 64, threads.MOST_THREADS)],
)
def test_as_many_threads_as_cores_are_free(
    busy: list[float], expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock(monkeypatch, tmp_path, busy)
    chosen = choose_threads()
    assert chosen.threads == expected
    assert f"of {len(busy)} cores free" in chosen.reason


def test_what_this_process_computes_itself_counts_as_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A training asks again while it computes, with one core and a half of four here; a neighbour takes one."""
    clock(monkeypatch, tmp_path, [1, 0.75, 0.75, 0])
    now, own = iter([0.0, 10.0]), iter([3.0, 18.0])
    meter = CoreMeter(lambda: next(now), lambda: next(own))
    time.sleep(10.0)
    assert meter.free() == 3.0


def test_cores_are_counted_from_call_to_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock(monkeypatch, tmp_path, [1, 0])
    meter = CoreMeter(own=lambda: 0.0)
    time.sleep(1.0)
    assert meter.free() == 1.0
    clock(monkeypatch, tmp_path, [0, 0])
    meter.free()
    time.sleep(1.0)
    assert meter.free() == 2.0


def test_the_words_fit_the_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock(monkeypatch, tmp_path, [0])
    assert choose_threads().reason == "1.0 of 1 core free"


def test_cores_of_others_do_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock(monkeypatch, tmp_path, [1, 0, 0])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1})
    assert (free_cores(), choose_threads().threads) == (1.0, 1)


def test_where_the_kernel_hides_its_clock_all_cores_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock(monkeypatch, tmp_path, [1, 1])
    monkeypatch.setattr(threads, "STAT", tmp_path / "none")
    assert free_cores() == 2.0


@pytest.mark.parametrize(("text", "expected"), [("max 100000", 4), ("150000 100000", 2), ("10000 100000", 1), ("x", 4)])
def test_a_quota_of_the_control_group_counts(
    text: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock(monkeypatch, tmp_path, [0, 0, 0, 0])
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert (usable_cores(), choose_threads().threads) == (expected, expected)


def test_who_asks_is_obeyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock(monkeypatch, tmp_path, [0, 0])
    assert choose_threads(5).threads == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert choose_threads().threads == 3
    assert choose_threads(5).threads == 5


@pytest.mark.parametrize("asked", [0, -1])
def test_no_threads_are_refused(asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=rf"--threads is {asked}; it must be a whole number from 1 to 1024"):
        choose_threads(asked)


@pytest.mark.parametrize("given", ["many", "\u00b2", "9" * 5000, "-1", "0", " ", "2.0", "1_0"])
def test_an_environment_without_a_number_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    with pytest.raises(ConfigurationError, match=f"OMP_NUM_THREADS is '{given[:40]}"):
        choose_threads()


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OPENBLAS_NUM_THREADS": "1"}),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, {"OPENBLAS_NUM_THREADS": "1"}),
        ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}),
    ],
)
def test_what_the_environment_says_stays(given: dict[str, str], added: dict[str, str]) -> None:
    environment = dict(given)
    sleep_at_barriers(environment)
    assert environment == given | added


def test_the_command_says_it_before_torch_is_loaded(tmp_path: Path) -> None:
    """The library of OpenMP prints what it read."""
    pytest.importorskip("torch")
    environment = {name: value for name, value in os.environ.items() if name not in SLEEPING}
    done = subprocess.run(
        [sys.executable, "-m", "vdd_ros.cli.main", "export", str(tmp_path / "none"), "--out", str(tmp_path / "p.onnx")],
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    assert f"GOMP_SPINCOUNT = '{SLEEPING['GOMP_SPINCOUNT']}'" in done.stderr
