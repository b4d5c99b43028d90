"""The `vdd` dispatcher: what it imports, and which message and exit code each kind of failure gives."""

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

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
    assert "No space left on device: 'report.json'" in capsys.readouterr().err


def test_any_other_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_with(monkeypatch, raiser(ZeroDivisionError()))


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


def test_a_missing_package_that_is_no_extra_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModuleNotFoundError):
        run_with(monkeypatch, raiser(ModuleNotFoundError("gone", name="vdd_ros.typo")))


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
