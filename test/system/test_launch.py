"""Launch files, with stand-ins for launch: every argument reaches a declared parameter, every error ends everything."""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")

from vdd_ros import resources
from vdd_ros.bags.latency import NODE_TOPICS
from vdd_ros.errors import VddError
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.nodes.sim_robot_node import SimParameters
from vdd_ros.tasks import get_task

ROOT = Path(__file__).parents[2]
MODULES = (
    "launch",
    "launch.action",
    "launch.actions",
    "launch.event_handlers",
    "launch.events",
    "launch.events.process",
    "launch.launch_description_sources",
    "launch.substitutions",
    "launch_ros",
    "launch_ros.actions",
    "launch_ros.event_handlers",
    "launch_ros.events",
    "launch_ros.events.lifecycle",
    "launch_ros.parameter_descriptions",
)
DECLARED = {
    "policy_node": {item.name for item in fields(PolicyParameters)} | {"use_sim_time"},
    "sim_robot_node": {item.name for item in fields(SimParameters)},
    "bag_recorder": set(
        yaml.safe_load((ROOT / "config" / "bag_recorder.params.yaml").read_text())["/**"]["ros__parameters"]
    ),
}


class Call:
    """The construction of anything from launch: what was called with what."""

    def __init__(self, what: str, *args: Any, **kwargs: Any) -> None:
        self.what, self.args, self.kwargs = what, args, kwargs


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Load a launch file with stand-ins for launch and launch_ros, and paths of shipped files below /share."""
    for name in MODULES:
        module: Any = ModuleType(name)
        module.__getattr__ = lambda what: partial(Call, what)
        monkeypatch.setitem(sys.modules, name, module)
    shipped = resources.path
    monkeypatch.setattr(
        resources, "path", lambda name: Path("/share", name) if name.startswith("models/") else shipped(name)
    )

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, ROOT / "launch" / f"{name}.launch.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load


def entities(module: Any) -> list[Call]:
    """Return what a launch file describes."""
    return list(module.generate_launch_description().args[0])


def arguments(module: Any) -> dict[str, str]:
    """Return the declared arguments with their defaults."""
    return {e.args[0]: e.kwargs["default_value"] for e in entities(module) if e.what == "DeclareLaunchArgument"}


def policy_actions(load: Callable[[str], Any], **given: str) -> list[Call]:
    """Return what policy.launch.py starts with these arguments."""
    module = load("policy")
    function = next(e.kwargs["function"] for e in entities(module) if e.what == "OpaqueFunction")
    actions: list[Call] = function(SimpleNamespace(launch_configurations=arguments(module) | given))
    return actions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with files for the arguments."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(resources.path("config/robots/avoiding.yaml"), "mine.yaml")
    Path("mine.onnx").touch()
    Path("mine.params.yaml").write_text("/**: {ros__parameters: {enable_control: false}}")
    return tmp_path


def parameters(actions: list[Call]) -> dict[str, dict[str, Any]]:
    """Return the parameters of every node by the node's name; those of a file under its name `params_file`."""
    found = {}
    for node in actions:
        if node.what in ("Node", "LifecycleNode"):
            merged: dict[str, Any] = {}
            for item in node.kwargs["parameters"]:
                merged |= item if isinstance(item, dict) else {"params_file": item}
            assert set(merged) - {"params_file"} <= DECLARED[node.kwargs["executable"]]
            found[node.kwargs["name"]] = merged
    return found


def transitions(actions: list[Call]) -> list[int]:
    """Return the transitions that are asked for at once."""
    return [action.kwargs["event"].kwargs["transition_id"] for action in actions if action.what == "EmitEvent"]


REACHES = {
    "policy": ("teacher", "policy", "policy_path", "/share/models/avoiding_teacher.onnx"),
    "compare_with": ("other", "shadow_policy", "policy_path", "/share/models/avoiding_teacher.onnx"),
    "robot": ("mine.yaml", "policy", "robot_file", "FOLDER/mine.yaml"),
    "record": ("1e3", "bag_recorder", "output", "FOLDER/1e3"),
    "episode_topic": ("episode", "policy", "episode_topic", "episode"),
    "seed": ("7", "policy", "seed", 7),
    "shadow": ("true", "policy", "enable_control", False),
    "params_file": ("mine.params.yaml", "policy", "params_file", "FOLDER/mine.params.yaml"),
    "use_sim_time": ("true", "policy", "use_sim_time", True),
}


@pytest.mark.parametrize("argument", REACHES)
def test_argument_reaches_its_parameter(load: Callable[[str], Any], folder: Path, argument: str) -> None:
    """An argument changes one parameter, with its type; a path is absolute, so that it is never taken for a number."""
    value, node, parameter, expected = REACHES[argument]
    expected = expected.replace("FOLDER", str(folder)) if isinstance(expected, str) else expected
    assert parameters(policy_actions(load)).get(node, {}).get(parameter) != expected
    assert parameters(policy_actions(load, **{argument: value}))[node][parameter] == expected


def test_a_policy_of_ones_own_runs_with_its_robot_file(load: Callable[[str], Any], folder: Path) -> None:
    given = parameters(policy_actions(load, policy="mine.onnx", robot="mine.yaml"))["policy"]
    assert (given["policy_path"], given["robot_file"]) == (str(folder / "mine.onnx"), str(folder / "mine.yaml"))


def test_what_no_argument_asks_for_is_left_to_the_parameter_file(load: Callable[[str], Any]) -> None:
    """A parameter file that forbids commands, or names the episodes, is not overruled by an argument's default."""
    assert set(parameters(policy_actions(load))["policy"]) == {"params_file", "policy_path", "robot_file"}


def test_policies_that_are_compared_publish_their_decisions(load: Callable[[str], Any]) -> None:
    """Whatever the parameter file says: the agreement is found in them."""
    nodes = parameters(policy_actions(load, compare_with="teacher"))
    assert [node["publish_decisions"] for node in nodes.values()] == [True, True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no section with ros__parameters"),
        ("/**:", "/\\*\\* is outside of ros__parameters"),
        ("/**: {ros__parameters: }", "holds no parameters"),
        ("enable_control: false", "/enable_control is outside of ros__parameters"),
        ("ros__parameters: {enable_control: false}", "stands under no node"),
        (
            "other: {ros__parameters: {enable_control: false}}",
            "a section for /other, but the nodes are /policy, /shadow",
        ),
        ("/arm/policy: {ros__parameters: {enable_control: false}}", "a section for /arm/policy"),
        ("/*/policy: {ros__parameters: {enable_control: false}}", "a section for /\\*/policy"),
        ("policy: {ros__parameters: {enable_contrl: false}}", "did you mean enable_control"),
        ("policy: {ros__parameters: {seed: 1}}\npolicy: {ros__parameters: {seed: 2}}", "names 'policy' twice"),
        ("policy: {ros__parameters: {seed: 1, seed: 2}}", "names 'seed' twice"),
    ],
)
def test_a_parameter_file_with_ignored_parts(load: Callable[[str], Any], folder: Path, text: str, reason: str) -> None:
    """It is refused before anything starts: a robot would move although the file says enable_control: false."""
    Path("mine.params.yaml").write_text(text)
    with pytest.raises(VddError, match=reason):
        policy_actions(load, compare_with="teacher", params_file="mine.params.yaml")


@pytest.mark.parametrize("name", ["/**", "/*", "policy", "/policy", "/**/policy"])
def test_a_section_that_forbids_commands_is_found_by_every_name(
    load: Callable[[str], Any], folder: Path, name: str
) -> None:
    """As rcl finds it; the recorder must not wait for commands then."""
    Path("mine.params.yaml").write_text(f'"{name}": {{ros__parameters: {{enable_control: false}}}}')
    with pytest.raises(VddError, match="enable_control: false"):
        policy_actions(load, record="bag", params_file="mine.params.yaml")


def test_a_section_for_a_shadow_that_is_not_started_is_reported(
    load: Callable[[str], Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file may serve launches with and without shadows; a node that it says nothing of does not get it."""
    Path("mine.params.yaml").write_text("shadow_policy: {ros__parameters: {seed: 1}}")
    nodes = parameters(policy_actions(load, params_file="mine.params.yaml"))
    assert "params_file" not in nodes["policy"]
    assert "the section /shadow_policy matches no node of this launch" in capsys.readouterr().err
    nodes = parameters(policy_actions(load, compare_with="teacher", params_file="mine.params.yaml"))
    assert "params_file" in nodes["shadow_policy"]


def test_sections_are_matched_below_the_namespace_of_the_launch(load: Callable[[str], Any], folder: Path) -> None:
    Path("mine.params.yaml").write_text("arm: {policy: {ros__parameters: {seed: 1}}}")
    nodes = parameters(policy_actions(load, params_file="mine.params.yaml", ros_namespace="/arm"))
    assert "params_file" in nodes["policy"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"policy": "nowhere.onnx"}, "nowhere.onnx is not a file"),
        ({"compare_with": "student,techer"}, "techer is not a file"),
        ({"params_file": "nowhere.yaml"}, "nowhere.yaml is not a file"),
        ({"robot": "nowhere.yaml"}, "nowhere.yaml"),
        ({"record": "mine.yaml"}, "exists already"),
        ({"record": "bag", "params_file": "mine.params.yaml"}, "shadow:=true"),
        ({"seed": "one"}, "whole number"),
        ({"policy": "mine.onnx"}, "no robot file is given for the policy mine.onnx; give robot:=FILE"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    load: Callable[[str], Any], folder: Path, given: dict[str, str], told: str
) -> None:
    """Launch leaves what has started as orphans where an error comes later."""
    with pytest.raises(VddError, match=told):
        policy_actions(load, **given)


def test_a_package_that_is_not_installed_is_told_before_anything_starts(
    load: Callable[[str], Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tf2_msgs", "tf2_msgs.msg"):
        monkeypatch.setitem(sys.modules, name, None)
    document = yaml.safe_load(Path("mine.yaml").read_text())
    document["inputs"]["tcp"]["frame"] = "base"
    Path("mine.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(VddError, match=r"mine.yaml: inputs.tcp.frame: the package tf2_msgs is not installed, so there"):
        policy_actions(load, robot="mine.yaml")


@pytest.mark.parametrize(
    ("given", "shadows"),
    [
        ("", []),
        ("other", ["/share/models/avoiding_teacher.onnx"]),
        (
            "other, mine.onnx,student,",
            ["/share/models/avoiding_teacher.onnx", "FOLDER/mine.onnx", "/share/models/avoiding_student.onnx"],
        ),
    ],
)
def test_any_number_of_policies_shadow(
    load: Callable[[str], Any], folder: Path, given: str, shadows: list[str]
) -> None:
    """Each has a name of its own, commands nothing, and is recorded."""
    nodes = parameters(policy_actions(load, record="bag", compare_with=given))
    names = ["shadow_policy", "shadow_policy_2", "shadow_policy_3"][: len(shadows)]
    assert [name for name in nodes if name.startswith("shadow")] == names
    assert [nodes[name]["policy_path"] for name in names] == [s.replace("FOLDER", str(folder)) for s in shadows]
    assert not any(nodes[name]["enable_control"] for name in names)
    topics = set(nodes["bag_recorder"]["topics"])
    assert {f"{name}/{topic}" for name in ["policy", *names] for topic in NODE_TOPICS} | {"/diagnostics"} <= topics


def test_every_argument_is_accounted_for(load: Callable[[str], Any]) -> None:
    """A new argument needs a line in the table above; `activate` asks for a transition instead."""
    assert set(arguments(load("policy"))) == set(REACHES) | {"activate"}
    assert set(arguments(load("compare"))) <= set(REACHES)


def test_activate_asks_for_the_transition(load: Callable[[str], Any]) -> None:
    """Configuring is asked for at once, activating when that has succeeded."""

    def after_configuring(actions: list[Call]) -> list[Any]:
        handlers = [action.args[0] for action in actions if action.what == "RegisterEventHandler"]
        done = [h for h in handlers if (h.kwargs["start_state"], h.kwargs["goal_state"]) == ("configuring", "inactive")]
        return [transitions(handler.kwargs["entities"]) for handler in done]

    assert transitions(policy_actions(load)) == [1]
    assert after_configuring(policy_actions(load)) == [[3]]
    assert after_configuring(policy_actions(load, activate="false")) == []


def test_a_node_that_is_not_to_be_activated_does_not_start_by_itself(load: Callable[[str], Any], folder: Path) -> None:
    Path("mine.params.yaml").write_text("/**: {ros__parameters: {autostart: true}}")
    given = {"params_file": "mine.params.yaml", "compare_with": "teacher"}
    for name in ("policy", "shadow_policy"):
        assert parameters(policy_actions(load, activate="false", **given))[name]["autostart"] is False
        assert "autostart" not in parameters(policy_actions(load, **given))[name]


def test_recorder_comes_first_and_starts_the_policies(load: Callable[[str], Any]) -> None:
    """The policies are activated by the recorder's word, once, and a shadow's missing commands are not awaited."""
    actions = policy_actions(load, record="bag", compare_with="teacher")
    nodes = [action for action in actions if action.what in ("Node", "LifecycleNode")]
    assert nodes[0].kwargs["executable"] == "bag_recorder"
    on_output = actions[0].args[0].kwargs["on_stderr"]
    assert on_output(SimpleNamespace(text=b"waiting for /policy/latency")) == []
    assert transitions(on_output(SimpleNamespace(text=b"ready: every topic is subscribed"))) == [3, 3]
    assert on_output(SimpleNamespace(text=b"ready: every topic is subscribed")) == []
    topics = parameters(actions)["bag_recorder"]["topics"]
    assert {"tcp_pose", "avoiding_controller/commands", "policy/latency", "shadow_policy/policy_info"} <= set(topics)
    shadowed = parameters(policy_actions(load, record="bag", shadow="true"))["bag_recorder"]["topics"]
    assert "avoiding_controller/commands" not in shadowed


def test_recorder_says_the_word_that_is_waited_for(load: Callable[[str], Any]) -> None:
    """The recorder logs the very text that the launch file waits for."""
    recorder = (ROOT / "vdd_ros" / "nodes" / "bag_recorder.py").read_text()
    assert f'"{load("policy").RECORDER_READY.decode()}"' in recorder


def test_end_of_a_node_ends_everything_once(load: Callable[[str], Any]) -> None:
    """Every node matters: launch would go on without it, and exit with 0 also after an error."""
    for node in policy_actions(load, record="bag") + [e for e in entities(load("demo")) if e.what == "Node"]:
        if node.what in ("Node", "LifecycleNode"):
            event = SimpleNamespace(process_name="policy", returncode=0)
            ended = node.kwargs["on_exit"](event, SimpleNamespace(is_shutdown=False))
            assert [action.what for action in ended] == ["Shutdown"]
            assert node.kwargs["on_exit"](event, SimpleNamespace(is_shutdown=True)) == []
            event.returncode = 1
            for is_shutdown in (False, True):
                with pytest.raises(VddError, match="policy ended with exit code 1"):
                    node.kwargs["on_exit"](event, SimpleNamespace(is_shutdown=is_shutdown))


def test_a_transition_that_fails_ends_everything_with_an_error(load: Callable[[str], Any]) -> None:
    """Launch would wait for ever with a node that is not active."""
    handlers = [action.args[0] for action in policy_actions(load) if action.what == "RegisterEventHandler"]
    states = {(h.kwargs["start_state"], h.kwargs["goal_state"]): h.kwargs["entities"] for h in handlers}
    for start, goal in (("configuring", "unconfigured"), ("activating", "inactive")):
        (action,) = states[start, goal]
        with pytest.raises(VddError, match="policy could not be"):
            action.kwargs["function"](SimpleNamespace())


def test_demo_adds_a_simulated_robot(load: Callable[[str], Any]) -> None:
    """Its arguments reach the simulated robot with their types; the rest is compare.launch.py."""
    module = load("demo")
    node = next(e for e in entities(module) if e.what == "Node")
    typed = parameters([node])["sim_robot"]
    reached = {v.args[0].args[0]: v.kwargs["value_type"] for k, v in typed.items() if k != "params_file"}
    assert reached == {"task": str, "robot": str, "episodes": int, "seed": int}
    assert set(arguments(module)) - set(reached) <= set(REACHES)
    included = [e.args[0].args[0] for e in entities(module) if e.what == "IncludeLaunchDescription"]
    assert [Path(path).name for path in included] == ["compare.launch.py"]
    assert [e.what for e in entities(module)[-3:]] == ["OpaqueFunction", "IncludeLaunchDescription", "Node"]
    check = entities(module)[-3].kwargs["function"]
    given = arguments(module)
    check(SimpleNamespace(launch_configurations=given))
    assert given["robot"] == str(get_task("avoiding").get_robot_file())
    check(SimpleNamespace(launch_configurations=given | {"robot": "mine.yaml", "task": "mine"}))
    with pytest.raises(VddError, match="unknown task 'mine'"):
        check(SimpleNamespace(launch_configurations=arguments(module) | {"task": "mine"}))
    for name in ("episodes", "seed"):
        with pytest.raises(VddError, match="whole number"):
            check(SimpleNamespace(launch_configurations=arguments(module) | {name: "1.5"}))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["vdd_ros", "policy.launch.py", "policy:=teacher", "shadwo:=true"], r"shadwo \(did you mean shadow\?\)"),
        (["vdd_ros", "policy.launch.py", "episodes:=3"], "episodes"),
        ([str(ROOT / "launch" / "compare.launch.py"), "robot_file:=mine.yaml"], r"robot_file .*robot"),
        (["vdd_ros", "demo.launch.py", "task:=avoiding", "enable_control:=false"], "enable_control"),
        (["vdd_ros", "demo.launch.py", "\x1b[2J:=1"], r"\\x1b\[2J"),
    ],
)
def test_an_argument_that_no_launch_file_has_is_refused(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    """Launch itself would pass it over, and the robot would move."""
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", *words])
    with pytest.raises(VddError, match=told):
        policy_actions(load)


@pytest.mark.parametrize(
    "words",
    [
        ["vdd_ros", "demo.launch.py", "task:=avoiding", "episodes:=3", "seed:=1"],
        ["mine", "policy.launch.py", "speed:=fast"],
        ["mine", "all.launch.py", "policy.launch.py:=x", "robot_file:=mine.yaml"],
    ],
)
def test_arguments_of_other_launch_files_are_theirs(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", *words])
    assert policy_actions(load)


def test_the_listed_arguments_are_those_that_exist(load: Callable[[str], Any]) -> None:
    told = {file: set(names.split()) for file, names in load("policy").ARGUMENTS.items()}
    shared = told["policy"]
    for file, names in told.items():
        assert names | shared == set(arguments(load(file))) | shared
    assert shared == set(arguments(load("policy")))
