"""`vdd demo` end to end, with tiny policies: one steers past the obstacles on their right, one does nothing useful."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import policy_files
import pytest
from matplotlib.image import imread
from ros_helpers import DEADLINE_S

from vdd_ros.bags.diagnostics import DIAGNOSTICS, newest_values
from vdd_ros.bags.latency import read_latency_bag
from vdd_ros.bags.reader import read_messages
from vdd_ros.cli.main import main
from vdd_ros.demo.run import plan
from vdd_ros.errors import ProcessError
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.running.node_processes import NodeProcesses
from vdd_ros.tasks import get_task

pytestmark = pytest.mark.ros
LANE_X = 0.72
SPEED = "3"


def steering(spec: PolicySpec, **_: Any) -> policy_files.MixtureParameters:
    """Every expert drives to the free lane on the right and on to the goal: dx = .3 (lane - x), dy = 9.5 mm."""
    parameters = policy_files.mixture_parameters(spec)
    statistics = spec.statistics
    gain = 0.3
    weight, bias = np.zeros_like(parameters.mean_weight), np.zeros_like(parameters.mean_bias)
    weight[:, 0, 0] = -gain * statistics.observation_std[0] / statistics.action_std[0]
    bias[:, 0] = (gain * (LANE_X - statistics.observation_mean[0]) - statistics.action_mean[0]) / statistics.action_std[
        0
    ]
    bias[:, 1] = (0.0095 - statistics.action_mean[1]) / statistics.action_std[1]
    return replace(parameters, mean_weight=weight, mean_bias=bias)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A student that steers to the goal and a teacher of 8 steps that knows nothing."""
    made = steering(policy_files.mixture_spec())
    monkeypatch.setattr(policy_files, "mixture_parameters", lambda spec, seed: made)
    student = policy_files.write_mixture(tmp_path / "student.onnx")
    teacher = policy_files.write_diffusion(tmp_path / "teacher.onnx", steps=8)
    return {"student": str(student), "teacher": str(teacher)}


def demo_arguments(files: dict[str, str], out: Path, *more: str) -> list[str]:
    policies = [word for name, file in files.items() for word in (f"--{name}", file)]
    return ["demo", "--out", str(out), "--speed", SPEED, *policies, *more]


def guarded(bag: Path) -> dict[str, dict[str, int]]:
    """Return what the guards that doubt the robot counted, of each node by name."""
    found = newest_values(message.message for message in read_messages(bag, (DIAGNOSTICS,), {}))
    doubts = ("limited_error.", "not_followed", "frozen.", "contradict")
    return {
        node: {key: int(value) for key, value in values.items() if key.startswith(doubts)}
        for node, values in found.items()
    }


def wait_for(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.timing
def test_a_student_that_reaches_the_goal_passes(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code = main(demo_arguments(files, out, "--episodes", "3"))
    shown = capsys.readouterr().out
    assert code == 0, shown
    report = json.loads((out / "report.json").read_text())
    assert (report["made_by"], report["status"], report["commander"]) == ("vdd demo", "passed", "student")
    assert (report["successes"], report["missing"], report["modes"]) == (3, [], [23])
    assert "the student reached the goal in 3 of 3 episodes" in shown
    assert report["latency"]["comparison"]["steps"] == 8
    student, teacher = read_latency_bag(out / "bag")
    assert (student.node, teacher.node) == ("/student", "/teacher")
    assert student.sequence.first == teacher.sequence.first == 0
    assert student.counters is not None
    refused = student.column("commanded") == 0.0  # where a busy machine held the process up
    assert np.count_nonzero(refused) <= student.counters.get("overruns", 0)
    assert (student.column("total_s")[refused] > 1.0 / (policy_files.mixture_spec().rate_hz * float(SPEED))).all()
    assert report["latency"]["nodes"][0]["counters"] == student.counters
    assert not teacher.column("commanded").any()
    counters = ["limited_error.desired_x", "limited_error.desired_y", "not_followed", "frozen.tcp"]
    counters += ["contradictions.desired", "contradictions.tcp", "contradicted"]
    assert guarded(out / "bag") == {node: dict.fromkeys(counters, 0) for node in ("/student", "/teacher")}
    assert (out / "report.html").read_text().startswith("<!DOCTYPE html>")
    for picture in ("latency.png", "trajectories.png"):
        assert min(imread(out / picture).shape[:2]) > 300


def test_rounds_alternate_and_shadows_see_the_same(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each policy alone, commanding, then all together; the report holds them against one another."""
    out = tmp_path / "out"
    more = ("--episodes", "1", "--repeats", "1", "--shadow", files["student"])
    code = main(demo_arguments(files, out, *more))
    shown = capsys.readouterr().out
    assert code == 0, shown
    nodes = ("student", "teacher", "shadow_1")
    assert sorted(path.name for path in out.glob("bag*")) == sorted(["bag", *(f"bag_{n}_alone_1" for n in nodes)])
    report = json.loads((out / "report.json").read_text())
    groups = {(group["node"], group["condition"]) for group in report["latency"]["repeats"]}
    assert groups == {(f"/{node}", condition) for node in nodes for condition in ("alone", "together")}
    for node in nodes:
        (alone,) = read_latency_bag(out / f"bag_{node}_alone_1")
        assert alone.column("commanded").any()
    together = read_latency_bag(out / "bag")
    assert [node.node for node in together if node.column("commanded").any()] == ["/student"]
    compared = {(found["student"], found["other"]): found for found in report["latency"]["agreement"]}
    assert set(compared) == {
        ("/shadow_1", "/student"),
        ("/shadow_1", "/teacher"),
        ("/student", "/teacher"),
    }
    assert all(found["pairs"] > 20 for found in compared.values())
    assert "Alone and together" in (out / "report.html").read_text()


def test_a_plan_alternates_and_pairs_the_seeds_of_a_round(tmp_path: Path) -> None:
    files = {"student": Path("s.onnx"), "teacher": Path("t.onnx")}
    runs, together = plan(tmp_path, files, repeats=2, episodes=5, seed=3, speed=1.0)
    assert [run.bag.name for run in runs] == [
        *("bag_student_alone_1", "bag_teacher_alone_1", "bag"),
        *("bag_student_alone_2", "bag_teacher_alone_2", "bag_2"),
    ]
    assert [run.seed for run in runs] == [3, 3, 3, 8, 8, 8]
    assert [list(run.files) for run in together] == [["student", "teacher"]] * 2
    (once,), _ = plan(tmp_path, files, repeats=0, episodes=5, seed=3, speed=1.0)
    assert (once.bag, once.logs) == (tmp_path / "bag", tmp_path / "log")


def test_a_teacher_that_commands_and_fails_is_a_failure_and_replaces_an_earlier_demo(
    files: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_text('{"made_by": "vdd demo"}')
    (out / "bag_7").write_text("")
    (out / "notes.txt").write_text("mine")
    assert main(demo_arguments(files, out, "--episodes", "1", "--policy", "teacher")) == 1
    report = json.loads((out / "report.json").read_text())
    assert (report["status"], report["commander"], report["successes"]) == ("failed", "teacher", 0)
    assert not (out / "bag_7").exists()
    assert (out / "notes.txt").read_text() == "mine", "what no demo makes is left alone"
    assert not any(path.name.startswith(".") for path in out.iterdir())


def test_a_node_that_cannot_start_is_shown_with_its_log(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(files["teacher"]).write_text("no policy at all")
    assert main(demo_arguments(files, tmp_path / "out")) == 2
    message = capsys.readouterr().err
    assert "teacher ended with exit code 1" in message
    assert "another kind of file" in message
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["status"] == "failed"
    assert "teacher ended" in report["reason"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_node_and_closes_the_bag(
    files: dict[str, str], tmp_path: Path, stop: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vdd_ros.cli.main", *demo_arguments(files, out, "--episodes", "1000")]
    with (tmp_path / "log").open("wb") as log:
        demo = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        robot_log = out / "log" / "sim_robot.log"
        wait_for(lambda: robot_log.exists() and "episode 1" in robot_log.read_text(), "the second episode")
        children = [int(pid) for pid in Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()]
        assert len(children) == 4
        demo.send_signal(stop)
        demo.send_signal(stop)
        assert demo.wait(DEADLINE_S) == 128 + stop, (tmp_path / "log").read_text()
    finally:
        if demo.poll() is None:
            os.kill(demo.pid, signal.SIGKILL)
            demo.wait()
    assert not any(alive(pid) for pid in children)
    assert json.loads((out / "report.json").read_text())["status"] == "interrupted"
    assert {node.node for node in read_latency_bag(out / "bag")} == {"/student", "/teacher"}


def test_a_folder_of_somebody_else_is_left_alone(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(demo_arguments(files, tmp_path)) == 2
    assert "was not made by `vdd demo`" in capsys.readouterr().err
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--episodes", "0"], "--episodes is 0; it must be from 1 to"),
        (["--repeats", "-1"], "--repeats is -1; it must be from 0 to"),
        (["--task", "juggling"], "unknown task 'juggling'"),
        (["--shadow", "nowhere.onnx"], "nowhere.onnx of the shadow_1 does not exist; give one: --shadow FILE"),
        (["--speed", "-1"], "--speed is -1; it must be finite and above 0"),
        (["--policy", "nowhere.onnx"], "the policy file nowhere.onnx of the policy does not exist"),
        (["--student", "nowhere.onnx"], "the policy file nowhere.onnx of the student does not exist"),
    ],
)
def test_bad_options_are_refused_before_anything_is_made(
    files: dict[str, str], tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*demo_arguments(files, tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_policies_that_do_not_ship_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--task", "avoding", "--out", str(tmp_path / "out")]) == 2
    assert "unknown task 'avoding'" in capsys.readouterr().err
    assert main(["demo", "--task", "aligning", "--out", str(tmp_path / "out")]) == 2
    assert "no student of the task 'aligning' ships with vdd_ros; give one: --student FILE" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_task_is_simulated(tmp_path: Path) -> None:
    """Its robot starts from contexts, and the policies observe it through its own robot file."""
    pytest.importorskip("mujoco")
    spec, out = get_task("pushing").spec, tmp_path / "out"
    entries: dict[str, Any] = {"task": "pushing", "observation": spec.observation, "rate_hz": spec.rate_hz}
    entries["action"] = tuple(replace(entry, low=-0.009, high=0.009) for entry in spec.action)
    files = {
        "student": str(policy_files.write_mixture(tmp_path / "student.onnx", **entries)),
        "teacher": str(policy_files.write_diffusion(tmp_path / "teacher.onnx", **entries)),
    }
    main(demo_arguments(files, out, "--task", "pushing", "--episodes", "1"))
    report = json.loads((out / "report.json").read_text())
    (episode,) = report["episodes"]
    assert report["commander"] == "student"
    assert episode["steps"] == spec.max_steps or episode["success"]
    assert {node["node"] for node in report["latency"]["nodes"]} == {"/student", "/teacher"}
    assert (out / "trajectories.png").exists()


def test_a_node_that_ignores_sigint_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vdd_ros.running.node_processes.STOP_DEADLINE_S", 0.1)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
    )
    with (tmp_path / "stubborn.log").open("wb") as log, NodeProcesses(tmp_path, domain_id=1) as nodes:
        process = subprocess.Popen([sys.executable, "-c", stubborn], stdout=log)
        nodes._running["stubborn"] = process
        wait_for(lambda: nodes.output("stubborn"), "the process")
        with pytest.raises(ProcessError, match="stubborn ended with exit code -9"):
            nodes.stop_well("stubborn")
