"""The `vdd` dispatcher: its imports, and the message and exit code of each kind of failure."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vdd_ros import __version__
from vdd_ros.cli import main as cli
from vdd_ros.errors import DemonstrationError


def command(run: Callable[..., int], name: str = "train") -> ModuleType:
    """Make a command module that stands in for vdd_ros.cli.<name>."""
    module = ModuleType(f"vdd_ros.cli.{name}")
    module.HELP = "a stand-in"  # type: ignore[attr-defined]
    module.add_arguments = lambda parser: parser.add_argument("--number", type=int, default=0)  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    return module


def raiser(error: BaseException) -> Callable[..., int]:
    def run(_: object) -> int:
        raise error

    return run


def run_with(monkeypatch: pytest.MonkeyPatch, run: Callable[..., int], *argv: str) -> int:
    monkeypatch.setitem(sys.modules, "vdd_ros.cli.train", command(run))
    return cli.main(["train", *argv])


def test_arguments_reach_the_command_and_its_code_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(monkeypatch, lambda arguments: int(arguments.number), "--number", "7") == 7


def test_an_error_of_ours_is_a_message_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, raiser(DemonstrationError("D holds no episode"))) == 2
    assert capsys.readouterr().err == "vdd train: error: D holds no episode\n"


def test_what_the_system_refuses_is_a_message_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, raiser(OSError(28, "No space left on device", "report.json"))) == 2
    assert capsys.readouterr().err == "vdd train: error: report.json: No space left on device\n"


def stumble_over(file: Path) -> Callable[..., int]:
    """Make a command that fails as it would over a damaged file: in code of this package that has the file in hand."""
    code = compile(
        "def run(arguments):\n    document = file\n    return {}['weights']\n", "vdd_ros/cli/train.py", "exec"
    )
    scope: dict[str, Any] = {"__name__": "vdd_ros.cli.train", "file": file}
    exec(code, scope)
    run: Callable[..., int] = scope["run"]
    return run


def test_an_error_that_nobody_foresaw_names_the_command_and_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "model.json"
    file.write_text("{}")
    assert run_with(monkeypatch, stumble_over(file)) == 70
    message = capsys.readouterr().err
    assert message.startswith("vdd train: unforeseen error: KeyError: 'weights'")
    assert f"If {file} is damaged" in message
    assert "VDD_TRACEBACK=1" in message
    assert "Traceback" not in message


class OutOfMemoryError(RuntimeError):
    """Named as torch's for a GPU."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 745. GiB"),
        OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory\nmore"),
    ],
)
def test_memory_that_runs_out_is_no_fault_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert run_with(monkeypatch, raiser(error)) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"vdd train: error: not enough memory: {str(error).splitlines()[0]}")
    assert "process less at a time" in message


def test_its_traceback_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("VDD_TRACEBACK", "1")
    assert run_with(monkeypatch, stumble_over(tmp_path)) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_ctrl_c_gives_the_shell_s_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(monkeypatch, raiser(KeyboardInterrupt())) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "extra"), [("torch.nn", "train"), ("rclpy", "ros"), ("rosbags.rosbag2", "ros"), ("matplotlib", "sim")]
)
def test_a_missing_optional_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, extra: str
) -> None:
    assert run_with(monkeypatch, raiser(ModuleNotFoundError("gone", name=module))) == 2
    message = capsys.readouterr().err
    assert f"{module.partition('.')[0]} is not installed" in message
    assert f"pip install 'vdd_ros[{extra}]'" in message


def test_a_missing_module_of_our_own_is_nobody_s_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, raiser(ModuleNotFoundError("gone", name="vdd_ros.typo"))) == 70
    assert "ModuleNotFoundError: gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "package"), [("numpy", "numpy"), ("onnxruntime", "onnxruntime"), ("yaml", "pyyaml")]
)
def test_a_missing_package_that_all_need_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: str, package: str
) -> None:
    assert run_with(monkeypatch, raiser(ModuleNotFoundError("gone", name=module))) == 2
    assert f"pip install {package}" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["no_such_command"], ["--no-such-option"]])
def test_a_wrong_command_line_shows_the_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage: vdd" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"vdd_ros {__version__}\n"


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    program = (
        "import sys; from vdd_ros.cli import main as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('imported:', sorted(set(sys.modules) & {'torch', 'rclpy', 'numpy', 'matplotlib'}))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert all(name in printed for name in cli.COMMANDS)
    assert "imported: []" in printed


def test_one_command_imports_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cli.COMMANDS:
        monkeypatch.setitem(sys.modules, f"vdd_ros.cli.{name}", None)
    assert run_with(monkeypatch, lambda _: 0) == 0
