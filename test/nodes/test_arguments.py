"""Command lines and parameter files of the executables: nothing is passed over, and every refusal shows the mend."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from ros_helpers import DEADLINE_S

pytest.importorskip("rclpy")

from vdd_ros import middleware
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes import policy_node
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.nodes.ros.arguments import Executable, answered, full_name, split
from vdd_ros.nodes.ros.parameter_files import Section
from vdd_ros.nodes.ros.parameter_values import meant
from vdd_ros.nodes.ros.parameters import parameter

EXECUTABLES = ("policy_node", "sim_robot_node", "bag_recorder")
NODE = Executable("policy_node", "policy_node", PolicyParameters, "runs a policy")


def start(executable: str, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run an executable until it ends."""
    return subprocess.run(
        [sys.executable, "-m", f"vdd_ros.nodes.{executable}", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_help_prints_the_parameters_and_ends(executable: str) -> None:
    ended = start(executable, "--help")
    assert ended.returncode == 0
    assert f"usage: {executable} --ros-args" in ended.stdout
    word = {"policy_node": "policy_path", "sim_robot_node": "idle_timeout_s", "bag_recorder": "topics"}[executable]
    assert word in ended.stdout


FOR_ANOTHER = "other: {ros__parameters: {enable_control: false}}"


def given(words: list[str], text: str | None, folder: Path) -> list[str]:
    """Return the arguments of an executable that has words, and a file of parameters unless its text is None."""
    if text is None:
        return words if words[:1] == ["policy.onnx"] else ["--ros-args", *words]
    file = folder / "file.yaml"
    file.write_text(text)
    return ["--ros-args", *words, "--params-file", str(file)]


@pytest.mark.parametrize(
    ("words", "text", "told"),
    [
        ([], FOR_ANOTHER, "is for /other, but not for /policy_node"),
        (["-r", "__ns:=/arm"], "policy_node: {ros__parameters: {seed: 1}}", "not for /arm/policy_node"),
        (["-r", "__node:=policy"], "policy_node: {ros__parameters: {seed: 1}}", "not for /policy"),
        ([], "/**: {ros__parameters: {seed: 1, seed: 2}}", "names 'seed' twice"),
        ([], "/**: {ros__parameters: {enable_contrl: false}}", "did you mean enable_control?"),
        ([], "enable_control: false", "is outside of ros__parameters"),
        ([], "", "has no section with ros__parameters"),
        (["policy.onnx"], None, "unknown argument: policy.onnx"),
        (["-p", "other:enable_control:=false"], None, "leave the name out: -p enable_control:=false"),
        (["-p", "enable_contrl:=false"], None, "did you mean enable_control?"),
        (["-p", "enable_control=false"], None, "write -p NAME:=VALUE"),
        (["-p", "episode_topic:="], None, "for an empty text write"),
        (["--params-file", "nowhere.yaml"], None, "nowhere.yaml does not exist"),
    ],
)
def test_arguments_that_rcl_ignores_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    text: str | None,
    told: str,
) -> None:
    """Before ROS begins: the node would start without what was given."""
    monkeypatch.setattr(policy_node, "run", lambda *_: pytest.fail("the node starts"))
    assert policy_node.main(given(words, text, tmp_path)) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("executable", "words", "text", "told"),
    [
        ("bag_recorder", [], FOR_ANOTHER, "is for /other, but not for /bag_recorder"),
        ("sim_robot_node", [], "sim_robot_node: {ros__parameters: {seed: 1}}", "not for /sim_robot"),
        ("policy_node", ["-p", "rate_hz:=fast"], None, "write -p rate_hz:=0.0 on the command line, or rate_hz: 0.0 in"),
        ("policy_node", ["-p", "seed:=-1"], None, "must be between 0 and 2147483647"),
        ("policy_node", ["-p", "policy_path:=1e3"], None, "policy_path:='\"/path/of/it\"'"),
        ("policy_node", ["--params"], None, "--params"),
    ],
)
def test_a_refusal_ends_the_process(
    tmp_path: Path, executable: str, words: list[str], text: str | None, told: str
) -> None:
    """With exit code 1 and the reason, and no traceback; ROS itself refuses some."""
    ended = start(executable, *given(words, text, tmp_path))
    assert ended.returncode == 1, ended.stderr
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_section_for_another_node_beside_its_own_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(f"{FOR_ANOTHER}\n/**: {{ros__parameters: {{seed: 1, use_sim_time: true}}}}")
    assert answered(NODE, ["--ros-args", "--params-file", str(file)]) is None
    assert "not for this node, which is /policy_node: /other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "node", "matches"),
    [  # as rcl matches them
        ("/**", "/policy", True),
        ("/**", "/arm/policy", True),
        ("/*", "/policy", True),
        ("/*", "/arm/policy", False),
        ("/policy", "/policy", True),
        ("/policy", "/arm/policy", False),
        ("/**/policy", "/policy", True),
        ("/**/policy", "/a/b/policy", True),
        ("/*/policy", "/policy", False),
        ("/*/policy", "/arm/policy", True),
        ("/arm/**", "/arm/policy", True),
        ("/arm/*", "/arm/policy", True),
        ("/arm/policy", "/arm/policy", True),
        ("/p.licy", "/policy", False),
    ],
)
def test_sections_match_as_rcl_does(name: str, node: str, matches: bool) -> None:
    assert Section(name, {}).matches(node) == matches


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "/policy_node"),
        (["-r", "__node:=a", "-r", "__node:=b"], "/a"),
        (["-r", "__name:=a"], "/a"),
        (["-r", "policy_node:__node:=a"], "/a"),
        (["--remap", "other:__node:=a"], "/policy_node"),
        (["-r", "__ns:=/x/y", "-r", "__node:=a"], "/x/y/a"),
        (["-r", "a:=b"], "/policy_node"),
    ],
)
def test_the_name_of_the_node_is_found(words: list[str], name: str) -> None:
    assert full_name("policy_node", words) == name


def test_words_that_are_not_for_ros() -> None:
    assert split(["a", "--ros-args", "-p", "b:=1", "--", "c", "--ros-args", "d"]) == (["a", "c"], ["-p", "b:=1", "d"])


@dataclass
class Some:
    """A parameter of each kind."""

    switch: bool = parameter(True, "a switch")
    count: int = parameter(1, "a count", 0, 1000)
    rate: float = parameter(1.0, "a rate", 0.0, 1000.0)
    word: str = parameter("", "a word")
    file: str = parameter("", "a file", path=True)
    words: tuple[str, ...] = parameter(("",), "some words")


ITEMS = {item.name: item for item in fields(Some)}


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("rate", 50, 50.0),
        ("rate", "5e-2", 0.05),
        ("rate", "50", 50.0),
        ("count", 50.0, 50),
        ("count", "7", 7),
        ("switch", "off", False),
        ("switch", "On", True),
        ("switch", 0, False),
        ("word", 2, "2"),
        ("file", "~/x", str(Path.home() / "x")),
        ("words", "/a", ["/a"]),
    ],
)
def test_unambiguous_values_are_accepted(name: str, given: Any, expected: Any) -> None:
    taken = meant(ITEMS[name], given)
    assert (taken, type(taken)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("rate", "fast"),
        ("rate", True),
        ("rate", "1_0"),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", -1),
        ("rate", [1.0]),
        ("count", 1.5),
        ("count", 1001),
        ("count", True),
        ("count", "1e400"),
        ("switch", 2),
        ("switch", "maybe"),
        ("switch", 1.0),
        ("word", 1.0),
        ("word", False),
        ("word", "x" * 5000),
        ("word", "a\0b"),
        ("file", "~nobody-of-this-name/x"),
        ("words", [1]),
        ("words", []),
    ],
)
def test_impossible_values_are_refused_with_a_remedy(name: str, given: Any) -> None:
    """Name, value, what is allowed, and a line for the shell and one for a file."""
    with pytest.raises(ConfigurationError) as refused:
        meant(ITEMS[name], given)
    text = str(refused.value)
    assert text.startswith(f"parameter {name} is ")
    assert f"write -p {name}:=" in text
    assert f"{name}: " in text
    assert len(text) < 600


@pytest.mark.parametrize("executable", EXECUTABLES)
@pytest.mark.parametrize("variable", middleware.VARIABLES)
def test_another_middleware_is_reported_and_does_not_end_with_102(executable: str, variable: str) -> None:
    ended = start(executable, "--help", **{variable: "rmw_nowhere_cpp"})
    assert ended.returncode == 1
    assert f"{variable} is 'rmw_nowhere_cpp', but " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [(["doctor", "--sleeps", "2"], 0), (["demo", "--episodes", "1"], 1), (["run", "--sim", "--episodes", "1"], 1)],
)
def test_commands_tell_of_another_middleware(tmp_path: Path, command: list[str], code: int) -> None:
    """`vdd doctor` says what is wrong with the host, this too."""
    run = "import sys; from vdd_ros.cli.main import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", run, *command],
        capture_output=True,
        text=True,
        timeout=300.0,
        cwd=tmp_path,
        env=os.environ | {"RMW_IMPLEMENTATION": "rmw_nowhere_cpp"},
        check=False,
    )
    assert (ended.returncode == 0) == (code == 0), ended.stderr
    assert "RMW_IMPLEMENTATION is 'rmw_nowhere_cpp', but " in ended.stdout + ended.stderr


def test_a_middleware_of_an_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the installation has is taken; where nothing is found, rcl decides."""
    monkeypatch.setattr(middleware, "_from_wheels", lambda: False)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "librmw_cyclonedds_cpp.so").touch()
    found = {"AMENT_PREFIX_PATH": str(tmp_path), "ROS_DISTRO": "jazzy"}
    assert middleware.problem(found | {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}) == ""
    told = middleware.problem(found | {"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"})
    assert "has rmw_cyclonedds_cpp" in told
    assert "apt install ros-jazzy-rmw-zenoh-cpp" in told
    assert middleware.problem({"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"}) == ""
    assert middleware.problem(found) == ""


def test_a_signal_while_rclpy_is_imported_ends_with_0(tmp_path: Path) -> None:
    """Nothing was commanded yet."""
    hook = tmp_path / "rclpy.py"  # takes the place of rclpy
    hook.write_text("import time\nprint('importing', flush=True)\nwhile True: time.sleep(0.01)\n")
    running = subprocess.Popen(
        [sys.executable, "-m", "vdd_ros.nodes.policy_node"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"},
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "importing\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(DEADLINE_S) == 0
    finally:
        running.kill()
        running.wait()
