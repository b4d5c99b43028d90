"""Two checkouts compared: the order, the commands, resumption, the figures. The checkouts are stand-ins."""

import json
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from vdd_ros.benchmark.checkouts import Checkout, Processes, busy_neighbours
from vdd_ros.benchmark.speed import against
from vdd_ros.benchmark.speed.against import CheckoutComparison, run_comparison
from vdd_ros.benchmark.speed.comparison import ComparisonRecord, Result, Timing, table
from vdd_ros.benchmark.speed.comparison_report import keep
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
    if "--json" in words:
        steps = int(words[words.index("--steps") + 1]) if "--steps" in words else {steps}
        Path(words[words.index("--json") + 1]).write_text(json.dumps({{"steps": steps}}))
"""


def stand_in(folder: Path, name: str, success: float = 0.9, fails: bool = False, steps: int = 300) -> Path:
    """Make a checkout that logs its commands in a file that all share."""
    package = folder / name / "vdd_ros" / "cli"
    package.mkdir(parents=True)
    text = STAND_IN.format(log=str(folder / "log"), name=name, success=success, fails=fails, steps=steps)
    (package / "main.py").write_text(text)
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


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins log no steps: of each run, steps 50 and 150 ended half a second apart."""
    monkeypatch.setattr(against, "wall_times", lambda _folder: {50: 7.0, 150: 7.5})


def run_two(folder: Path, comparison: dict[str, Any] | None = None, **checkout: Any) -> ComparisonRecord:
    settings: dict[str, Any] = {"seeds": 2, "rollouts": 7, "busy": 1, **(comparison or {})}
    (folder / "work").mkdir(exist_ok=True)
    if not (folder / "one").exists():
        stand_in(folder, "one")
        stand_in(folder, "two", **checkout)
    this, other = Checkout.of("this", folder / "one"), Checkout.of("other", folder / "two")
    return run_comparison(CheckoutComparison("avoiding", "mlp", folder / "D", folder / "work", **settings), this, other)


def test_whole_trainings_take_their_own_defaults_and_times_are_taken_by_turns(tmp_path: Path) -> None:
    record = run_two(tmp_path, steps=800)
    made = [call for call in asked(tmp_path) if call[1] in ("train", "distil")]
    whole = [call for call in made if "--json" in call and "--steps" not in call]
    assert sorted((name, command) for name, command, *_ in whole) == sorted(
        2 * [(name, command) for name in ("one", "two") for command in ("train", "distil")]
    ), "a teacher and a student for each checkout and seed"
    timed = [call for call in made if call[-2:] == ["--steps", "150"]]
    assert [name for name, *_ in timed] == ["one", "two"] * 5 + ["two", "one"] * 5, "who begins changes with the seed"
    assert all("--backbone" in call and call[call.index("--backbone") + 1] == "mlp" for call in made)
    full = [call for call in timed if "full" in call]
    assert len(full) == 4 and {Path(call[call.index("--teacher") + 1]).name for call in full} == {"chunk_teacher"}
    chunks = [call for call in made if call[1] == "train" and call[call.index("--horizon") + 1] == "8"]
    assert [call[call.index("--steps") + 1] for call in chunks] == ["1"] * 4
    assert [case.this.steps for case in record.cases] == [300] * 3
    assert [case.other.steps for case in record.cases] == [800] * 3


def test_times_may_be_taken_of_fewer_seeds(tmp_path: Path) -> None:
    record = run_two(tmp_path, {"repeats": 1})
    timed = [call for call in asked(tmp_path) if call[-2:] == ["--steps", "150"]]
    assert [name for name, *_ in timed] == ["one", "two"] * 5
    assert [len(record.timings["this"][name][0]) for name in ("teacher", "student", "full_student")] == [1, 1, 1]
    assert len(record.results["this"]["teacher"]) == 2


def test_record_and_figure_are_kept(tmp_path: Path) -> None:
    record = run_two(tmp_path, {"seeds": 1})
    keep(record, tmp_path / "report", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found == json.loads((tmp_path / "report" / "speed_against.json").read_text())
    assert found["comparison"]["seeds"] == 1 and str(tmp_path) not in json.dumps(found)
    assert [case["title"] for case in found["cases"]] == [case.title for case in record.cases]
    figure = (tmp_path / "report" / "speed_against.png").read_bytes()
    assert figure.startswith(b"\x89PNG")


def test_what_is_finished_is_not_made_again(tmp_path: Path) -> None:
    first = run_two(tmp_path, {"seeds": 1})
    calls = len(asked(tmp_path))
    assert run_two(tmp_path, {"seeds": 1}).cases == first.cases
    assert len(asked(tmp_path)) == calls
    work = tmp_path / "work"
    (work / "other" / "0" / "student.result.json").unlink()  # as if the run had been cut there
    (work / "this" / "0" / "full_student.time_0.json").unlink()
    run_two(tmp_path, {"seeds": 1})
    again = [(name, command) for name, command, *_ in asked(tmp_path)[calls:]]
    assert again == [("two", "distil"), ("two", "export"), ("two", "evaluate"), ("one", "distil")]


def test_another_source_or_setting_is_another_comparison(tmp_path: Path) -> None:
    one = Checkout.of("this", stand_in(tmp_path, "one"))
    before = one.sha256
    assert before == one.sha256
    (one.folder / "vdd_ros" / "more.py").write_text("")
    assert one.sha256 != before


def test_goals_are_judged_by_ratio_and_result() -> None:
    def record(success: float, busy: float) -> ComparisonRecord:
        results = {
            "this": {"teacher": [Result(100, 1.0, 0.9, 0.5)], "student": [Result(50, 1.0, success, 0.5)]},
            "other": {"teacher": [Result(400, 1.0, 0.9, 0.5)], "student": [Result(200, 1.0, 0.9, 0.5)]},
        }
        timings = {
            "this": {"teacher": {0: [Timing(10.0, 0.1)], 1: [Timing(10.0, 0.1)]}},
            "other": {"teacher": {0: [Timing(20.0, 0.1)], 1: [Timing(20.0, busy)]}},
        }
        for side in timings.values():
            side["student"] = {0: [Timing(5.0, 0.1), Timing(7.0, 0.1), Timing(90.0, 0.1)]}
            side["full_student"] = {0: [Timing(0.0, 0.1)]}
            results["this"]["full_student"] = results["other"]["full_student"] = []
        return ComparisonRecord.of({}, {}, results, timings)

    found = record(0.905, 0.2)
    teacher, student, full = found.cases
    assert [teacher.ratio, teacher.busy_ratio] == pytest.approx([3.0, 5.0])
    assert student.ratio == pytest.approx(27 / 12), "medians over the repeats"
    assert full.ratio == pytest.approx(4.0), "it takes the steps of the distillation"
    assert [student.busy_ratio, teacher.as_good, full.as_good] == [None, True, None]
    assert [case.reached for case in found.cases] == [True, False, False]
    assert not record(0.905, 0.1).cases[0].reached, "beside a neighbour it is too slow"
    assert not record(0.88, 0.2).cases[1].as_good
    assert record(0.99, 0.2).cases[1].as_good, "better"
    text = table(found)
    times, results = "100 / 400 | 100 / 100 | 20 / 60 | 3.00 (goal 2) | 5.00 (goal 5)", "0.900 / 0.900 | 0.500 / 0.500"
    assert f"| teacher | {times} | {results} | yes |" in text
    assert "| 4.00 (goal 5) | – | – / – | – / – | not judged |" in text


def test_a_time_is_read_from_logged_steps() -> None:
    timing = Timing.of(40.0, 150, {50: 100.0, 100: 105.0, 150: 110.0})
    assert (timing.step_s, timing.start_s, timing.whole_s(1000)) == (0.1, 25.0, 125.0)


def test_all_commands_end_together(tmp_path: Path) -> None:
    """What begins after the stop ends too."""
    processes = Processes()
    one = Checkout.of("this", stand_in(tmp_path, "one"), processes)
    (one.folder / "vdd_ros" / "cli" / "main.py").write_text("import threading; threading.Event().wait()")
    processes.stop()
    with pytest.raises(ProcessError, match="ended with code -9"):
        one.run(["train"])


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"vdd distil of other ended with code 1: no.*teacher") as found:
        run_two(tmp_path, {"seeds": 1}, fails=True)
    assert "\x1b" not in str(found.value)


def test_a_folder_without_the_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no vdd_ros/cli/main.py; name the folder of a checkout"):
        Checkout.of("other", tmp_path)
    assert main(["benchmark", "speed", "--against", str(tmp_path), "--demos", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("timed_steps", 50, "--timed-steps is 50; it must be above 50"),
        ("busy", -1, "--busy is -1; it must be at least"),
        ("repeats", 2, "--repeats is 2; it must be from 1 to --seeds, which is 1"),
    ],
)
def test_numbers_without_a_meaning_are_refused(field: str, value: int, message: str) -> None:
    settings: dict[str, Any] = {field: value}
    with pytest.raises(ConfigurationError, match=message):
        CheckoutComparison("avoiding", "mlp", Path("D"), Path("W"), **settings)


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
