"""Policy files that are damaged while a node runs, over real DDS: the active policy continues."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from node_rig import MakeNode, started
from policy_files import write_mixture
from rclpy.parameter import Parameter
from ros_helpers import Bench
from std_srvs.srv import Trigger

pytest.importorskip("rclpy")

from fault_rig import Watched

from vdd_ros.errors import PolicyFileError
from vdd_ros.nodes.policy.swap import CLOSED
from vdd_ros.nodes.policy_node import PolicyNode


@pytest.fixture
def watched(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """The robot's side of the topics; all commands of the test are checked at its end."""
    monkeypatch.setattr("vdd_ros.nodes.policy_node.DIAGNOSTICS_PERIOD_S", 0.2)
    watched = Watched(bench)
    yield watched
    watched.check()


def ask(node: PolicyNode, watched: Watched, path: Path) -> Any:
    """Ask a node to load a file; return the future of the answer."""
    node.set_parameters([Parameter("next_policy", value=str(path))])
    client = watched.bench.node.create_client(Trigger, f"/{node.get_name()}/load_policy")
    watched.bench.wait(client.service_is_ready, "the service")
    return client.call_async(Trigger.Request())


def refused(node: PolicyNode, watched: Watched, path: Path) -> str:
    """Ask a node to load a file, see that the old one acts on, and return why it was not loaded."""
    answer = ask(node, watched, path)
    watched.run_until(answer.done, "the answer")
    assert not answer.result().success
    watched.run_for_commands()
    return str(answer.result().message)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 300)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_metadata(path: Path) -> None:
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [garbage, cut_off, emptied, without_metadata, directory])
def test_file_is_spoilt_while_its_policy_acts(
    make_node: MakeNode, watched: Watched, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """In place, as by an unfinished copy: the policy continues; loading the file again is refused and reported."""
    path = write_mixture(tmp_path / "policy.onnx")
    node = started(make_node(policy_path=str(path)))
    watched.run_for_commands()
    spoil(path)
    watched.run_for_commands(50)
    reason = refused(node, watched, path)
    assert "policy.onnx" in reason
    watched.await_diagnosis(lambda _, values: values["refused_policies"] == "1", "the refusal")
    assert reason in watched.said["policy"][1]["last_refused_policy"]
    assert node.state == "active"


def test_the_right_file_takes_over_after_a_wrong_one(make_node: MakeNode, watched: Watched, tmp_path: Path) -> None:
    node = started(make_node())
    watched.run_for_commands()
    refused(node, watched, tmp_path / "nowhere.onnx")
    answer = ask(node, watched, write_mixture(tmp_path / "next.onnx", seed=3))
    watched.run_until(answer.done, "the answer")
    assert answer.result().success
    watched.await_diagnosis(lambda _, values: values["policy"].strip('"') == "next.onnx", "the new policy")
    assert watched.value("refused_policies") == 1


@pytest.mark.parametrize("answered", [False, True])
def test_cleanup_while_a_file_is_loaded(make_node: MakeNode, watched: Watched, tmp_path: Path, answered: bool) -> None:
    """The call is answered, the node lives, and it can be configured again; also while the file waits to take over."""
    node = started(make_node())
    watched.run_for_commands()
    assert node.session is not None
    loop = node.session.loop
    answer = ask(node, watched, write_mixture(tmp_path / "next.onnx", history=30))
    if answered:
        watched.run_until(lambda: loop.swap.waiting is not None, "a policy that waits")
    else:
        watched.run_until(lambda: node.session and node.session._swap and node.session._swap._busy, "the call")
    node.trigger_deactivate()
    node.trigger_cleanup()
    watched.run_until(answer.done, "the answer")
    assert (answer.result().success, answer.result().message) == (False, CLOSED)
    assert len(services(node)) == 1

    def configured() -> bool:
        """Whether it can be configured: not as long as the file that nobody waits for is still being loaded."""
        node.trigger_configure()
        return node.state == "inactive"

    watched.run_until(configured, "the end of loading")
    node.trigger_activate()
    assert (node.state, node.failure) == ("active", "")
    assert len(services(node)) == 1
    watched.run_for_commands()
    refused(node, watched, tmp_path / "nowhere.onnx")


def services(node: PolicyNode) -> list[str]:
    return [service.srv_name for service in node.services if service.srv_name.endswith("load_policy")]


def test_graph_that_fails_while_it_acts(make_node: MakeNode, watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node commands nothing more, tells why, and is active again when asked."""
    node = started(make_node())
    watched.run_for_commands()
    assert node.session is not None
    policy = node.session.loop.active.policy

    failed_at_s: list[float] = []

    def fail(*_: Any) -> None:
        failed_at_s.append(time.time())
        raise PolicyFileError("the device is gone")

    with monkeypatch.context() as broken:
        broken.setattr(policy, "act", fail)
        broken.setattr(policy, "dry_run", fail)
        watched.run_until(lambda: node.state == "inactive", "deactivation")
        watched.await_diagnosis(lambda message, _: "the device is gone" in message, "the reason")
    assert watched.sent_after(failed_at_s[0]) == []
    assert watched.value("failsafes") >= 1
    node.trigger_activate()
    watched.run_for_commands()
    assert node.state == "active"
