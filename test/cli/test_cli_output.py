"""`vdd` on a signal, with a closed output, and with control characters in other programs' names."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag

import vdd_ros.cli
from vdd_ros.cli.main import main
from vdd_ros.console import safe
from vdd_ros.errors import Terminated

VDD = [sys.executable, "-m", "vdd_ros.cli.main"]
CLI = Path(vdd_ros.cli.__file__).parent

# A stand-in for a command: it makes a folder that must not stay behind, says where, and waits to be ended.
WAITING = """
import signal, sys, tempfile, types
from vdd_ros.cli import main as cli
def run(_):
    with tempfile.TemporaryDirectory(prefix="vdd_test_") as folder:
        print(folder, flush=True)
        while True:
            signal.pause()
command = types.ModuleType("vdd_ros.cli.train")
command.HELP, command.add_arguments, command.run = "", lambda parser: None, run
sys.modules["vdd_ros.cli.train"] = command
sys.exit(cli.main(["train"]))
"""


def bag_of(tmp_path: Path, node: str = "/student", **info: Any) -> Path:
    values = np.zeros((100, len(LABELS)))
    values[:, LABELS.index("seq")] = np.arange(100)
    return write_bag(tmp_path / "bag", {node: values}, {node: {"kind": "vdd", **info}})


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_a_signal_ends_a_command_in_order(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == code
    assert not folder.exists()
    assert "Traceback" not in errors


def test_a_signal_that_is_ignored_stays_so() -> None:
    with subprocess.Popen(
        ["nohup", sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("interruption", "code", "words"), [(Terminated(15), 143, "SIGTERM"), (KeyboardInterrupt(), 130, "interrupted")]
)
@pytest.mark.parametrize("kind", [ImportError, SystemError])
def test_a_signal_during_a_native_import_is_no_fault(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    interruption: KeyboardInterrupt,
    code: int,
    words: str,
    kind: type[Exception],
) -> None:
    """Extension modules turn what a signal raises into an error of their own."""

    def imports(_arguments: object) -> int:
        raise kind("initialization failed") from interruption

    monkeypatch.setattr("vdd_ros.cli.doctor.run", imports)
    assert main(["doctor"]) == code
    assert words in (told := capsys.readouterr().err)
    assert "unforeseen" not in told


def test_handlers_are_put_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    assert main(["latency", str(tmp_path / "none")]) == 2
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before


def without_reader(arguments: list[str], stream: str) -> tuple[int, str]:
    """Run `vdd` with one of its streams a pipe that nobody reads; return its exit code and what the other one got."""
    reader, writer = os.pipe()
    os.close(reader)
    other = "stderr" if stream == "stdout" else "stdout"
    streams: dict[str, int | IO[Any]] = {stream: writer, other: subprocess.PIPE}
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        done = subprocess.run([*VDD, *arguments], env=buffered, text=True, check=False, **streams)  # type: ignore[call-overload]
    finally:
        os.close(writer)
    return done.returncode, getattr(done, other)


def test_a_reader_that_leaves_ends_it_without_a_word(tmp_path: Path) -> None:
    assert without_reader(["latency", str(bag_of(tmp_path))], "stdout") == (141, "")


def test_help_that_nobody_reads_to_its_end(tmp_path: Path) -> None:
    assert without_reader(["latency", "--help"], "stdout") == (141, "")


def test_errors_that_nobody_reads_keep_their_exit_code(tmp_path: Path) -> None:
    assert without_reader(["latency", str(tmp_path / "none")], "stderr") == (2, "")


def test_a_table_stays_whole_where_nobody_reads_remarks(tmp_path: Path) -> None:
    """A gap in the record is reported on standard error; a closed one does not affect table and exit code."""
    values = np.zeros((100, len(LABELS)))
    values[:, LABELS.index("seq")] = np.r_[np.arange(50), np.arange(60, 110)]
    bag = write_bag(tmp_path / "bag", {"/student": values}, {"/student": {"kind": "vdd"}})
    code, table = without_reader(["latency", str(bag)], "stderr")
    assert code == 1
    assert "are left out" in table


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_the_output_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*VDD, "latency", str(bag_of(tmp_path))], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "vdd latency: error: No space left on device\n"


def test_letters_that_the_output_cannot_show_do_not_end_it(tmp_path: Path) -> None:
    """The table has µ and –."""
    done = subprocess.run(
        [*VDD, "latency", str(bag_of(tmp_path))],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"stage (\\xb5s)" in done.stdout


ESCAPE = "\x1b[2J\x1b]0;owned\x07\u202e"


def test_names_in_a_bag_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = bag_of(tmp_path, f"/student{ESCAPE}", machine={"cpu": f"a\nb{ESCAPE}", "cores": ESCAPE})
    main(["latency", str(bag)])
    printed = capsys.readouterr()
    assert "student" in printed.out + printed.err
    assert set(printed.out + printed.err) & set(ESCAPE) <= set("[2J]0;owned")
    assert "a\\nb" in printed.out


@pytest.mark.parametrize("argv", [["latency", ESCAPE], ["latency", f"--x{ESCAPE}", "bag"], [ESCAPE]])
def test_arguments_cannot_steer_the_terminal(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A shell's * puts names of others there."""
    try:
        code = main(argv)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert "\x1b" not in capsys.readouterr().err


def test_keys_in_a_file_of_results_cannot_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.json"
    twice = json.dumps(ESCAPE)
    file.write_text(f"{{{twice}: 1, {twice}: 2}}")
    assert main(["latency", str(tmp_path), "--append", str(file), "--label", "a"]) == 2
    message = capsys.readouterr().err
    assert "is duplicated" in message
    assert "\x1b" not in message


def test_only_line_breaks_pass() -> None:
    assert safe("a\nb\x1b\r\u202e\ud800é – µ") == "a\nb\\x1b\\r\\u202e\\ud800é – µ"


@pytest.mark.parametrize("file", sorted(CLI.rglob("*.py")), ids=lambda file: str(file.relative_to(CLI)))
def test_every_line_goes_through_the_one_place(file: Path) -> None:
    if file.name == "output.py":
        return
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"print", "sys.stdout.write", "sys.stderr.write"}, (file, node.lineno)
            assert ast.unparse(node.func) != "tqdm", f"{file}:{node.lineno}: vdd_ros.progress shows bars"


def test_a_demo_s_numbers_go_into_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = {"made_by": "vdd demo", "status": "failed", "successes": 1}
    monkeypatch.setattr("vdd_ros.cli.demo.run_demo", lambda _: report)
    numbers = tmp_path / "numbers.json"
    assert main(["demo", "--out", str(tmp_path / "out"), "--json", str(numbers)]) == 1
    assert json.loads(numbers.read_text()) == report
