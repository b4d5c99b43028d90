"""Requests to the host, their answers, and `vdd doctor`."""

import json
import os
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.host import realtime as host
from vdd_ros.host.examination import advice, examine
from vdd_ros.host.realtime import HostSettings, Jitter, measure_jitter, settle


def refuse(*_: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_nothing_is_asked_by_default() -> None:
    assert settle(HostSettings()) == []


def test_what_is_granted_is_asked_for_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *given: asked.append(("fifo", given[2].sched_priority)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *given: asked.append(("cores", given[1])))
    monkeypatch.setattr(host, "_lock_memory", lambda: asked.append(("memory", None)))
    assert settle(HostSettings(80, " 0, 1", lock_memory=True)) == []
    assert asked == [("fifo", 80), ("cores", {0, 1}), ("memory", None)]


def test_what_is_refused_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "robot")
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(host, "_lock_memory", refuse)
    problems = settle(HostSettings(80, str(10**4), lock_memory=True))
    assert len(problems) == 3
    assert "'robot - rtprio 80' in /etc/security/limits.conf" in problems[0]
    assert "CAP_SYS_NICE" in problems[0]
    assert "choose among" in problems[1]
    assert "'robot - memlock unlimited'" in problems[2]


def test_memory_is_not_locked_under_a_finite_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is allocated later would fail."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 65536))
    (problem,) = settle(HostSettings(lock_memory=True))
    assert "the limit of locked memory is finite" in problem


@pytest.mark.parametrize(
    "settings", [{"fifo_priority": 100}, {"fifo_priority": -1}, {"cpu_affinity": "a"}, {"cpu_affinity": "99999999999"}]
)
def test_settings_that_cannot_be_meant(settings: dict[str, object]) -> None:
    (name,) = settings
    with pytest.raises(ConfigurationError, match=f"{name} is"):
        HostSettings(**settings)  # type: ignore[arg-type]


def test_a_sleep_never_ends_early() -> None:
    jitter = measure_jitter(count=20, period_s=0.002)
    assert 0 <= jitter.p50_s <= jitter.p99_s <= jitter.max_s
    assert jitter.count == 20


def test_the_doctor_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--sleeps", "20", "--json", str(tmp_path / "facts.json")]) == 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    text = capsys.readouterr().out
    assert facts["kernel"] in text
    assert "20 sleeps of 1 ms" in text
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert "CPUExecutionProvider" in facts["providers"]
    assert all(line in text for line in facts["advice"])


def test_advice_follows_the_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    good: Any = examine(2) | {
        "governor": "performance", "clock_source": "tsc", "rtprio_limit": 99, "memlock_limit": -1, "load": 0.0,
        "cores": 4, "jitter": Jitter(p50_s=1e-5, p99_s=1e-4, max_s=1e-3, count=2),
    }  # fmt: skip
    assert advice(good) == []
    for bad, word in (
        ({"governor": "powersave"}, "governor is powersave"),
        ({"clock_source": "hpet"}, "clock source is hpet"),
        ({"rtprio_limit": 0}, "SCHED_FIFO"),
        ({"memlock_limit": 65536}, "locked memory"),
        ({"load": 3.0}, "3.0 of 4 cores busy"),
        ({"jitter": replace(good["jitter"], p99_s=0.005)}, "5.0 ms late"),
    ):
        (line,) = advice(good | bad)
        assert word in line
