"""Two checkouts by turns: the order, the commands, what is made of their figures. The checkouts are stand-ins."""

import json
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from vdd_ros.benchmark.speed.against import CheckoutComparison, cases, run_comparison, table
from vdd_ros.benchmark.speed.checkouts import Checkout, Spent, busy_neighbours
from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError, ProcessError
from vdd_ros.host.threads import SLEEPING

STAND_IN = """
import json, sys
from pathlib import Path
words = sys.argv[1:]
with Path({log!r}).open("a") as log:
    log.write(json.dumps([{name!r}, *words]) + "\\n")
if words[0] == "distil" and {fails}:
    sys.exit("no\\x1b[31m teacher")
if words[0] == "evaluate":
    pooled = {{"success_rate": {success}, "entropy": 0.5}}
    Path(words[words.index("--json") + 1]).write_text(json.dumps({{"pooled": pooled}}))
elif "--out" in words and words[0] != "export":
    Path(words[words.index("--out") + 1]).mkdir(parents=True, exist_ok=True)
"""


def stand_in(folder: Path, name: str, success: float = 0.9, fails: bool = False) -> Path:
    """Make a checkout that notes what it is asked for, in a log that all share."""
    package = folder / name / "vdd_ros" / "cli"
    package.mkdir(parents=True)
    (package / "main.py").write_text(STAND_IN.format(log=str(folder / "log"), name=name, success=success, fails=fails))
    return folder / name


def asked(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


def test_a_checkout_inherits_no_threads_that_this_one_chose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stand_in(tmp_path, "one")
    (folder / "vdd_ros" / "cli" / "main.py").write_text(
        "import os, sys\nfrom pathlib import Path\nPath(sys.argv[1]).write_text(repr(sorted(os.environ.items())))"
    )
    for name, value in {**SLEEPING, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    Checkout.of("one", folder).run([tmp_path / "seen"])
    seen = dict(literal_eval((tmp_path / "seen").read_text()))
    assert not SLEEPING.keys() & seen.keys()
    assert (seen["OMP_NUM_THREADS"], seen["PYTHONPATH"]) == ("1", str(folder))


def run_two(folder: Path, **checkout: Any) -> dict[str, Any]:
    comparison = CheckoutComparison("avoiding", "mlp", folder / "D", folder / "work", seeds=2, rollouts=7, steps=5)
    this = Checkout.of("this", stand_in(folder, "one"))
    return run_comparison(comparison, this, Checkout.of("other", stand_in(folder, "two", **checkout)))


def test_checkouts_take_turns_with_equal_settings(tmp_path: Path) -> None:
    record = run_two(tmp_path, success=0.8)
    calls = asked(tmp_path)
    made = [(name, command, *rest) for name, command, *rest in calls if command in ("train", "distil")]
    assert [call[0] for call in made] == ["one", "two", "two", "one"] * 4, "who begins changes with the seed"
    by_side: dict[str, list[list[str]]] = {"one": [], "two": []}
    for name, *words in made:
        by_side[name].append([word.replace("/other/", "/this/") for word in words])
    assert sorted(by_side["one"]) == sorted(by_side["two"])
    for _name, _command, *rest in made:
        assert rest[rest.index("--steps") + 1] == "5" and rest[rest.index("--backbone") + 1] == "mlp"
    full = [rest for _, command, *rest in made if command == "distil" and "full" in rest]
    assert len(full) == 4 and all(Path(rest[rest.index("--teacher") + 1]).name == "chunk_teacher" for rest in full)
    assert [case["success_difference"] for case in record["cases"]] == pytest.approx([0.1] * 4)
    assert not any(case["equal"] or case["reached"] for case in record["cases"])
    assert json.loads(json.dumps(record)) == record


def test_goals_are_judged_by_ratio_and_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"this": Spent(2.0, 4.0), "other": Spent(5.0, 30.0)}
    monkeypatch.setattr(Checkout, "run", lambda self, _words: times[self.name])
    monkeypatch.setattr(Checkout, "score", lambda *_given: (0.9, 0.5))
    record = run_two(tmp_path)
    found = [(case["ratio"], case["cpu_ratio"], case["equal"], case["reached"]) for case in record["cases"]]
    assert found == [(2.5, 7.5, True, True), (2.5, 7.5, True, True), (2.5, 7.5, True, None), (2.5, 7.5, True, False)]
    text = table(record)
    assert (
        "| teacher | 2.0 / 5.0 | 4.0 / 30.0 | 2.50 | 7.50 | 2, reached | 0.900 / 0.900 | 0.500 / 0.500 | yes |" in text
    )
    assert "| 5, not reached |" in text and "| – |" in text
    assert [case.goal for case in cases(busy=True)] == [5.0, 5.0, None, 5.0]


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"vdd distil of other ended with code 1: no.*teacher") as found:
        run_two(tmp_path, fails=True)
    assert "\x1b" not in str(found.value)


def test_a_folder_without_the_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no vdd_ros/cli/main.py; name the folder of a checkout"):
        Checkout.of("other", tmp_path)
    assert main(["benchmark", "speed", "--against", str(tmp_path), "--demos", str(tmp_path)]) == 2


def test_neighbours_end_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*given: Any) -> Any:
        started.append(popen(*given))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    with busy_neighbours(2):
        assert [one.poll() for one in started] == [None, None]
    assert all(one.returncode is not None for one in started)
