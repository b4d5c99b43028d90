"""What a load may take: time, memory, and which files."""

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from node_rig import AVOIDING, MakeNode, Robot, call, started
from policy_files import write_mixture

pytest.importorskip("rclpy")

from rclpy.parameter import Parameter

from vdd_ros.errors import PolicyFileError
from vdd_ros.nodes.policy import loading as policy_loading
from vdd_ros.nodes.policy import session as policy_session
from vdd_ros.nodes.policy.source import Allowed as Source
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile


@pytest.fixture
def never_loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Files called slow.onnx do not load before the event is set."""
    load, go_on = policy_loading.load, Event()

    def slow(path: str, *arguments: Any, **options: Any) -> Any:
        if Path(path).name == "slow.onnx":
            go_on.wait()
        return load(path, *arguments, **options)

    monkeypatch.setattr(policy_session, "load", slow)
    yield go_on
    go_on.set()


def test_a_load_that_takes_too_long_is_aborted(
    make_node: MakeNode, robot: Robot, tmp_path: Path, never_loads: Event
) -> None:
    """The caller hears of it, the node ticks on, and the next file is loaded once the old load has ended."""
    node = started(make_node(load_timeout_s=3.0))
    slow, good = write_mixture(tmp_path / "slow.onnx"), write_mixture(tmp_path / "good.onnx")
    answer = call(node, robot, slow)
    assert not answer.success
    assert "loading took longer than 3 s and was aborted (parameter load_timeout_s)" in answer.message
    answer = call(node, robot, good)
    assert not answer.success
    assert "is still loading" in answer.message
    count = len(robot.commands)
    robot.run_until(lambda: len(robot.commands) > count, "commands of the old policy")
    never_loads.set()
    robot.run_until(lambda: call(node, robot, good).success, "the next file")


def test_a_configuration_that_takes_too_long_is_aborted(
    make_node: MakeNode, tmp_path: Path, never_loads: Event
) -> None:
    node = make_node(policy_path=str(write_mixture(tmp_path / "slow.onnx")), load_timeout_s=3.0)
    node.trigger_configure()
    assert node.state == "unconfigured"
    assert "loading took longer than 3 s" in node.failure


def test_one_service_for_the_life_of_the_node(make_node: MakeNode, robot: Robot, nan_policy: Path) -> None:
    """Before it is configured it answers why it cannot load; afterwards it is the same one."""
    node = make_node()
    found = [service for service in node.services if service.srv_name.endswith("load_policy")]
    assert len(found) == 1
    answer = call(node, robot, nan_policy)
    assert not answer.success
    assert "the node is not configured" in answer.message
    for _ in range(3):
        node.trigger_configure()
        node.trigger_cleanup()
    assert [service for service in node.services if service.srv_name.endswith("load_policy")] == found
    node.trigger_configure()
    assert call(node, robot, nan_policy).success


@pytest.mark.parametrize("error", [PolicyFileError(""), ValueError(""), KeyError()])
def test_a_refusal_without_words_is_no_success(
    make_node: MakeNode, robot: Robot, nan_policy: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """An empty reason is a refusal too."""
    node = started(make_node())

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(policy_session, "load", refuse)
    answer = call(node, robot, nan_policy)
    assert not answer.success
    assert answer.message
    assert node.session is not None
    assert node.session.loop.counters.refused_policies == 1


def test_without_next_policy_no_empty_name_is_logged(
    make_node: MakeNode, robot: Robot, capfd: pytest.CaptureFixture[str]
) -> None:
    node = started(make_node())
    assert "next_policy is not set" in call(node, robot, "").message
    said = capfd.readouterr().err
    assert "next_policy is not set" in said
    assert "]:  was" not in said
    assert ": :" not in said
    assert node.session is not None
    assert node.session.loop.swap.last_refused.startswith("the parameter next_policy is not set")


def odd_file(folder: Path, kind: str) -> tuple[Path, str]:
    """Make something that is no ordinary file; return its path and what is said of it."""
    path = folder / kind
    if kind == "process":
        return Path("/proc/self/mem"), "is a file of the kernel"
    said = "is a file of the kernel"
    if kind == "pipe":
        os.mkfifo(path)
        said = "is not a file but a pipe"
    elif kind == "folder":
        path.mkdir()
        said = "is not a file but a folder"
    elif kind in ("device", "circle"):
        path.symlink_to("/dev/zero" if kind == "device" else path)
        said = said if kind == "device" else "cannot be read"
    else:
        path.touch()
        os.truncate(path, 3 << 30 if kind == "large" else 0)  # it takes no room
        said = "has 3,221 MB" if kind == "large" else "is empty"
    return path, said


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "process", "empty", "large", "circle"])
@pytest.mark.parametrize("how", ["load_policy", "policy_path"])
def test_only_ordinary_files_are_opened(
    make_node: MakeNode, robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, how: str
) -> None:
    """Nothing is read of anything else, which might wait, or never end."""
    path, reason = odd_file(tmp_path, kind)
    opened: list[Path] = []
    read = PolicyFile.read

    def noted(file: Any, *given: Any) -> PolicyFile:
        opened.append(Path(file))
        return read(file, *given)

    monkeypatch.setattr("vdd_ros.nodes.policy.source.PolicyFile.read", noted)
    if how == "policy_path":
        node = make_node(policy_path=str(path))
        node.trigger_configure()
        assert reason in node.failure
    else:
        node = make_node()
        node.trigger_configure()
        opened.clear()
        answer = call(node, robot, path)
        assert not answer.success
        assert reason in answer.message
    assert not opened or kind not in ("device", "process")  # the others are refused before a byte of them is read


@pytest.fixture
def allowed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A folder with a policy, and another policy beside the folder, to which a link in the folder leads."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    inside, outside = write_mixture(folder / "inside.onnx"), write_mixture(tmp_path / "outside.onnx", seed=4)
    (folder / "link.onnx").symlink_to(outside)
    return folder, inside, outside


def test_a_node_can_be_bound_to_a_folder(make_node: MakeNode, robot: Robot, allowed: tuple[Path, Path, Path]) -> None:
    """Links and .. do not lead out of it, and nothing is said of what there is elsewhere."""
    folder, inside, outside = allowed
    node = make_node(load_policy_from=str(folder))
    node.trigger_configure()
    assert node.state == "inactive", node.failure
    for path in (outside, folder / ".." / outside.name, folder / "link.onnx", Path("/etc/passwd"), Path("/nowhere")):
        answer = call(node, robot, path)
        assert not answer.success
        assert "the only folder that this node loads policies from (parameter load_policy_from)" in answer.message
    assert call(node, robot, inside).success


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    allowed: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at where a path leads and the opening of the file, somebody puts a link in its place."""
    folder, inside, outside = allowed
    below = folder / "below"
    below.mkdir()
    (below / outside.name).write_bytes(inside.read_bytes())
    bound = Source(str(folder))
    assert bound.read(str(below / outside.name)).content == inside.read_bytes()
    read = PolicyFile.read

    def swap(*given: Any) -> PolicyFile:
        below.rename(folder / "aside")
        below.symlink_to(outside.parent)
        return read(*given)

    monkeypatch.setattr(PolicyFile, "read", swap)
    with pytest.raises(PolicyFileError, match="leads out of"):
        bound.read(str(below / outside.name))


def test_a_node_can_be_bound_to_digests(make_node: MakeNode, robot: Robot, allowed: tuple[Path, Path, Path]) -> None:
    _, inside, outside = allowed
    digests = [hashlib.sha256(inside.read_bytes()).hexdigest().upper(), "0" * 64]
    node = make_node(load_policy_sha256=", ".join(digests))
    node.trigger_configure()
    assert node.state == "inactive", node.failure
    answer = call(node, robot, outside)
    assert not answer.success
    assert "(parameter load_policy_sha256)" in answer.message
    assert call(node, robot, inside).success


def test_a_node_can_be_forbidden_to_load(make_node: MakeNode, robot: Robot, nan_policy: Path) -> None:
    node = make_node(load_policy_from="none")
    node.trigger_configure()
    answer = call(node, robot, nan_policy)
    assert not answer.success
    assert "load_policy_from is 'none'" in answer.message


def test_a_binding_cannot_be_gone_round(
    make_node: MakeNode, robot: Robot, allowed: tuple[Path, Path, Path], nan_policy: Path
) -> None:
    """Neither by setting the parameter, nor by another policy_path; the one of the start is trusted."""
    folder, inside, outside = allowed
    node = make_node(load_policy_from=str(folder))
    for name in ("load_policy_from", "load_policy_sha256"):
        assert not node.set_parameters([Parameter(name, value="any")])[0].successful
    for path, state in ((outside, "unconfigured"), (inside, "inactive"), (nan_policy, "inactive")):
        assert node.set_parameters([Parameter("policy_path", value=str(path))])[0].successful
        node.trigger_configure()
        assert node.state == state, node.failure
        if state == "inactive":
            node.trigger_cleanup()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"load_policy_from": "/nowhere"}, "load_policy_from is '/nowhere'; give any, none, or a folder that exists"),
        ({"load_policy_from": ""}, "load_policy_from is ''"),
        ({"load_policy_sha256": "abc"}, "load_policy_sha256 holds 'abc'; a SHA-256 has 64 hexadecimal digits"),
    ],
)
def test_wrong_bounds_are_refused(make_node: MakeNode, parameters: dict[str, Any], reason: str) -> None:
    node = make_node(**parameters)
    node.trigger_configure()
    assert reason in node.failure


def test_repeated_refusals_do_not_fill_the_log(
    make_node: MakeNode, robot: Robot, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is answered and counted; the log gets one line in a while, which does not end here."""
    monkeypatch.setattr("vdd_ros.nodes.ros.containment.QUIET_S", math.inf)
    node = started(make_node())
    for _ in range(10):
        assert not call(node, robot, "/nowhere.onnx").success
    assert capfd.readouterr().err.count("no other policy was loaded: /nowhere.onnx") == 1
    assert node.session is not None
    assert node.session.loop.counters.refused_policies == 10


class Steps:
    """A clock that moves by so much whenever it is read."""

    def __init__(self, step_s: float) -> None:
        self.now_s, self.step_s = 0.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.mark.parametrize(
    ("step_s", "parameters", "reason"),
    [
        (0.02, {}, "its fastest run took 20 ms, the median 20 ms and the p99 20 ms, but a tick has 5 ms"),
        (0.02, {"rate_hz": 20.0, "inference_limit_s": 0.01}, "but inference_limit_s allows 10 ms"),
        (0.02, {"action_steps": 4, "prefetch_ticks": 3}, "but 3 ticks of 5 ms (prefetch_ticks) are 15 ms"),
        (0.012, {"action_steps": 4, "prefetch_ticks": 3}, ""),
        (0.02, {"rate_hz": 20.0}, ""),
        (0.02, {"inference_limit_s": 0.03}, ""),
        (0.004, {}, ""),
    ],
)
def test_a_policy_that_is_too_slow_is_refused(
    make_node: MakeNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step_s: float,
    parameters: dict[str, Any],
    reason: str,
) -> None:
    """With the figures, rather than loaded and never commanding; unless asking ahead gives it the time."""
    monkeypatch.setattr("vdd_ros.policy.onnx_policy.perf_counter", Steps(step_s))
    node = make_node(policy_path=str(write_mixture(tmp_path / "chunks.onnx", horizon=8)), **parameters)
    node.trigger_configure()
    assert node.state == ("unconfigured" if reason else "inactive")
    assert reason in node.failure


def test_a_busy_moment_refuses_no_policy(
    make_node: MakeNode, nan_policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first runs were held up: it is measured again."""
    clock = Steps(0.02)
    monkeypatch.setattr("vdd_ros.policy.onnx_policy.perf_counter", clock)
    warm_up = OnnxPolicy.warm_up

    def measured(self: OnnxPolicy, runs: int = 10) -> Any:
        times = warm_up(self, runs)
        clock.step_s = 0.001
        return times

    monkeypatch.setattr(OnnxPolicy, "warm_up", measured)
    node = make_node(policy_path=str(nan_policy), warmup_runs=2)
    node.trigger_configure()
    assert node.state == "inactive", node.failure


@pytest.mark.parametrize(("limit_mb", "state"), [(256.0, "unconfigured"), (0.0, "inactive"), (600.0, "inactive")])
def test_a_policy_that_takes_too_much_memory_is_refused(
    make_node: MakeNode, nan_policy: Path, monkeypatch: pytest.MonkeyPatch, limit_mb: float, state: str
) -> None:
    warm_up, taken = OnnxPolicy.warm_up, []

    def takes(self: OnnxPolicy, runs: int = 10) -> Any:
        times = warm_up(self, runs)
        taken.append(bytearray(b"x") * (400 << 20))
        return times

    monkeypatch.setattr(OnnxPolicy, "warm_up", takes)
    node = make_node(policy_path=str(nan_policy), memory_limit_mb=limit_mb)
    node.trigger_configure()
    assert node.state == state
    if state == "unconfigured":
        assert "MB to run, but memory_limit_mb allows 256 MB" in node.failure


def test_denormal_numbers_count_as_zero_where_it_ticks(tmp_path: Path, nan_policy: Path) -> None:
    """Though policies are loaded in another thread: ONNX Runtime sets that for the first opener alone."""
    program = f"""
import numpy as np, rclpy
from vdd_ros.nodes.policy import ticker as policy_ticker
from vdd_ros.nodes.policy_node import PolicyNode
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
rclpy.init()
given = {{"policy_path": {str(nan_policy)!r}, "robot_file": {str(AVOIDING)!r}, "autostart": True}}
node = PolicyNode("alone", parameter_overrides=[Parameter(name, value=value) for name, value in given.items()])
executor, seen, tick = SingleThreadedExecutor(), [], policy_ticker.Ticker._tick
def look(self, *given):
    seen.append(float(np.float32(1e-38) * np.float32(0.01)))
    tick(self, *given)
policy_ticker.Ticker._tick = look
executor.add_node(node)
node.autostart()
while not seen:
    executor.spin_once(0.05)
assert seen[0] == 0.0, seen
node.close()
node.destroy_node()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300.0, check=False)
    assert ended.returncode == 0, ended.stderr
