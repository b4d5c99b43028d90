"""Impossible requests end with a message that names the remedy, before any work and without a traceback."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from vdd_ros import resources
from vdd_ros.cli.main import main
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.methods.configs import ExportConfig

HUGE = str(10**30)
STUDENT = str(resources.path("models/avoiding_student.onnx"))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["demos", "avoiding", "--out", "D", "--episodes", HUGE], "from 1 to 1,000,000"),
        (["demos", "avoiding", "--out", "D", "--jobs", HUGE], "--jobs is 1000000000000000000000000000000; it must be"),
        (["demos", "avoiding", "--out", "D", "--ray", "no such place"], "an address is HOST:PORT"),
        (["demos", "avoiding", "--out", "D", "--ray", "ray://x"], "an address is HOST:PORT"),
        (["demos", "avoiding", "--out", "D", "--ray", "localhost:99999"], "an address is HOST:PORT"),
        (["demos", "avoiding", "--out", "D", "--ray", ""], "an address is HOST:PORT"),
        (["evaluate", STUDENT, "--rollouts", HUGE], "--rollouts is"),
        (["evaluate", STUDENT, "--rollouts", "0"], "it must be from 1 to 1,000,000"),
        (["evaluate", STUDENT, "--jobs", "0"], "--jobs is 0; it must be from 1 to 1024"),
        (["evaluate", STUDENT, "--ray", "nonsense"], "there is no such Ray cluster"),
        (["evaluate", STUDENT, "--action-steps", HUGE], "choose 1 to 1"),
        (["novelty", STUDENT, "--demos", "D", "--rollouts", HUGE], "--rollouts is"),
        (["prebuild", STUDENT, "--runs", HUGE], "--runs is"),
        (["prebuild", STUDENT, "--runs", "1"], "--runs is 1; it must be from 2 to 1,000,000"),
        (["doctor", "--sleeps", "0"], "--sleeps is 0"),
        (["doctor", "--sleeps", "-1"], "--sleeps is -1"),
        (["doctor", "--sleeps", HUGE], "--sleeps is"),
        (["soak", "--minutes", "nan"], "--minutes is nan"),
        (["demo", "--speed", "nan"], "nan"),
        (["benchmark", "methods", "--seeds", HUGE], "--seeds is"),
        (["benchmark", "methods", "--steps", "0"], "--steps is 0"),
        (["benchmark", "pass", STUDENT, "--against", STUDENT, "--rounds", HUGE], "--rounds is"),
        (["benchmark", "pass", STUDENT, "--against", STUDENT, "--rounds", "0"], "--rounds is 0"),
        (["benchmark", "data", "--messages", "0"], "--messages is 0; it must be from 1 to 1,000,000,000"),
        (["benchmark", "data", "--quick", "--rounds", "0"], "--rounds is 0"),
    ],
)
def test_numbers_and_places_that_cannot_be_meant_are_refused_at_once(
    argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--ray" in argv:
        pytest.importorskip("ray")
    assert main(argv) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("threads", ["0", "100000", HUGE])
def test_threads_that_no_machine_starts_are_refused(
    threads: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fidelity", STUDENT, STUDENT, "--demos", str(tmp_path), "--threads", threads]
    assert main(argv) == 2
    assert f"--threads is {threads}; it must be from 1 to 1024" in capsys.readouterr().err


@pytest.mark.parametrize("steps", [0, 10_001])
def test_steps_that_no_policy_file_holds_are_refused(steps: int) -> None:
    with pytest.raises(ConfigurationError, match=f"steps is {steps}"):
        ExportConfig(steps=steps)


@pytest.mark.parametrize(
    ("command", "thing", "message"),
    [
        ("distil --teacher", "weights", "is a model of another program, as LeRobot keeps it"),
        (
            "distil --teacher",
            "lerobot",
            "is a LeRobot data set, not a checkpoint of 'vdd train' or",
        ),
        ("distil --teacher", "robot", "is a robot file, not a checkpoint"),
        ("export", "policy", "is a policy file, not a checkpoint"),
        ("export", "bag", "is a bag, not a checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_named(
    command: str, thing: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rosbags")
    from foreign_things import write_things

    given = str(write_things(tmp_path / "things")[thing])
    assert main([*command.split(), given, "--out", str(tmp_path / "out.onnx")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.onnx").exists()
