"""config/sros2/policy.xml against the nodes: what they publish, hear, serve and ask for is allowed, and no more.

The wheels of ROS 2 have no DDS security, so that nothing here runs with keys; docs/safety.md says so.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from node_rig import MakeNode
from policy_files import write_mixture
from ros_helpers import Bench, node_process

from vdd_ros.bags.latency import NODE_TOPICS, OPTIONAL_TOPICS
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.resources import path

CHECKOUT = Path(__file__).resolve().parents[2]
POLICY = CHECKOUT / "config" / "sros2" / "policy.xml"
ROBOT_FILE = path("config/robots/avoiding.yaml")
COMMANDS = "/avoiding_controller/commands"


@dataclass
class Allowed:
    """Full names that an enclave may use, by what it does with them."""

    node: str
    publish: set[str] = field(default_factory=set)
    subscribe: set[str] = field(default_factory=set)
    reply: set[str] = field(default_factory=set)
    request: set[str] = field(default_factory=set)


def enclaves(file: Path = POLICY) -> dict[str, Allowed]:
    """Read an SROS2 policy: relative names are in the profile's namespace, ~ is its node."""
    found: dict[str, Allowed] = {}
    root = ElementTree.parse(file).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    for enclave in root.iterfind("./enclaves/enclave"):
        (profile,) = enclave.iterfind("./profiles/profile")
        node = f"{profile.attrib['ns'].rstrip('/')}/{profile.attrib['node']}"
        allowed = found[enclave.attrib["path"]] = Allowed(node)
        for group in profile:
            for action, rule in group.attrib.items():
                assert rule == "ALLOW"
                getattr(allowed, action).update(full(item.text or "", node) for item in group)
    return found


def full(name: str, node: str) -> str:
    """Resolve a name as SROS2 does."""
    if name.startswith("~"):
        return node + name[1:]
    return name if name.startswith("/") else f"{node.rpartition('/')[0]}/{name}"


ENCLAVES = enclaves()


def names_of(node: Any, name: str | None = None) -> Allowed:
    """Return what a node uses: this one, or another one of the graph."""
    of = (name or node.get_name(), "/")
    getters = (
        node.get_publisher_names_and_types_by_node,
        node.get_subscriber_names_and_types_by_node,
        node.get_service_names_and_types_by_node,
        node.get_client_names_and_types_by_node,
    )
    return Allowed(f"/{of[0]}", *({name for name, _ in getter(*of)} for getter in getters))


def alone(make: Any, name: str, **parameters: Any) -> Allowed:
    """Return what a node of this process would use under a name; it has another one, which no other node ever had.

    The graph answers by name, and nodes of earlier tests may still be in it.
    """
    used = names_of(make(f"{name}_alone", **parameters))

    def renamed(names: set[str]) -> set[str]:
        return {one.replace(f"/{name}_alone", f"/{name}") for one in names}

    return Allowed(f"/{name}", *map(renamed, (used.publish, used.subscribe, used.reply, used.request)))


def process_of(bench: Bench, name: str, allowed: Allowed, hears: frozenset[str] = frozenset()) -> Allowed:
    """Return what a node of another process uses, once this one knows that it publishes, serves and hears all of it.

    The graph has one of its name: one that an earlier test killed is there until its lease ends.
    """

    def known() -> bool:
        if bench.node.get_node_names_and_namespaces().count((name, "/")) != 1:
            return False
        used = names_of(bench.node, name)
        return allowed.publish <= used.publish and allowed.reply <= used.reply and hears <= used.subscribe

    bench.wait(known, f"all that {name} publishes, serves and hears")
    return names_of(bench.node, name)


def check(used: Allowed, allowed: Allowed, spare: set[str]) -> None:
    """Refuse a name that is used and not allowed, and one that is allowed, not used and not `spare`."""
    assert used.node == allowed.node
    for action in ("publish", "subscribe", "reply", "request"):
        uses, may = getattr(used, action), getattr(allowed, action)
        assert uses <= may, f"{allowed.node} may not {action}"
        assert may - uses <= spare, f"{allowed.node} may {action} without need"


CLOCK = {"/clock", "/parameter_events"}  # with use_sim_time alone


@pytest.fixture
def with_everything(make_node: MakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a node with everything that opens topics: goals, episodes, a service to call on loss."""
    policy = write_mixture(tmp_path / "goals.onnx", goal_length=2)
    document = yaml.safe_load(Path(ROBOT_FILE).read_text())
    document["command"] |= {"on_loss": "call", "loss_service": "/avoiding_controller/stop"}
    document["episodes"] = {"home": {"service": "/avoiding_controller/home"}}
    robot = tmp_path / "robot.yaml"
    robot.write_text(yaml.safe_dump(document))

    def make(name: str, **parameters: Any) -> PolicyNode:
        node: PolicyNode = make_node(
            name, policy_path=str(policy), robot_file=str(robot), episode_topic="episode", **parameters
        )
        node.trigger_configure()
        return node

    return make


def test_the_commanding_policy_may_do_what_it_does_and_no_more(with_everything: Any) -> None:
    used = alone(with_everything, "policy")
    assert COMMANDS in used.publish
    check(used, ENCLAVES["/vdd_ros/policy"], CLOCK)


def test_a_shadow_may_not_command(with_everything: Any) -> None:
    used = alone(with_everything, "shadow_policy", enable_control=False, phase_topic="policy/phase")
    check(used, ENCLAVES["/vdd_ros/shadow_policy"], CLOCK)
    assert [name for name, allowed in ENCLAVES.items() if COMMANDS in allowed.publish] == ["/vdd_ros/policy"]


def test_the_simulated_robot_may_do_what_it_does_and_no_more(bench: Bench, tmp_path: Path) -> None:
    allowed, given = ENCLAVES["/vdd_ros/sim_robot"], {"robot_file": ROBOT_FILE, "start_topic": "bag_recorder/ready"}
    with node_process("vdd_ros.nodes.sim_robot_node", tmp_path / "log", **given):
        used = process_of(bench, "sim_robot", allowed, frozenset(allowed.subscribe - CLOCK))
    check(used, allowed, CLOCK)


def test_the_recorder_may_do_what_it_does_and_no_more(bench: Bench, tmp_path: Path) -> None:
    """What it hears it learns from its parameter: all that the nodes publish about their work, and the robot."""
    allowed = ENCLAVES["/vdd_ros/bag_recorder"]
    with node_process("vdd_ros.nodes.bag_recorder", tmp_path / "log", output=tmp_path / "bag", topics="[/nothing]"):
        used = process_of(bench, "bag_recorder", allowed)
    topics = (*NODE_TOPICS, *OPTIONAL_TOPICS)
    used.subscribe |= {f"/{policy}/{topic}" for policy in ("policy", "shadow_policy") for topic in topics}
    used.subscribe |= {"/desired_pose", "/tcp_pose", COMMANDS, "/episode", "/sim_robot/result", "/diagnostics"}
    check(used, allowed, CLOCK)


def test_who_may_change_what_the_policy_does() -> None:
    """Services that act, goals and episodes: the operator alone asks, and both policies answer."""
    acting = {"change_state", "load_policy", "set_parameters", "set_parameters_atomically"}
    for policy in ("policy", "shadow_policy"):
        services = {f"/{policy}/{name}" for name in acting}
        assert services <= ENCLAVES[f"/vdd_ros/{policy}"].reply
        assert ENCLAVES["/vdd_ros/operator"].request == {
            name for who in ("policy", "shadow_policy") for name in ENCLAVES[f"/vdd_ros/{who}"].reply
        }
        for name, allowed in ENCLAVES.items():
            if name != "/vdd_ros/operator":
                assert not services & allowed.request
                assert f"/{policy}/goal" not in allowed.publish
    numbering = [name for name, allowed in ENCLAVES.items() if "/episode" in allowed.publish]
    assert numbering == ["/vdd_ros/sim_robot", "/vdd_ros/operator"]
    assert not ENCLAVES["/vdd_ros/observer"].request
    assert ENCLAVES["/vdd_ros/observer"].publish == {"/rosout", "/parameter_events"}


def test_every_topic_and_service_of_the_node_is_named() -> None:
    """Those of the table of the ROS interface; the robot file's own topics stand for `the topics of the robot file`."""
    text = (CHECKOUT / "docs" / "node.md").read_text()
    table = text.partition("## ROS interface")[2].partition("\n\n| direction")[2].partition("\n\n")[0]
    named = re.findall(r"^\| (in|out|service) \| `([~/\w]+)` \|", table, flags=re.MULTILINE)
    assert len(named) >= 7
    allowed = ENCLAVES["/vdd_ros/policy"]
    for direction, name in named:
        has = {"in": allowed.subscribe, "out": allowed.publish, "service": allowed.reply}[direction]
        assert full(name, "/policy") in has, f"{direction} {name}"


def test_a_page_says_what_each_of_them_can_do() -> None:
    page = (CHECKOUT / "docs" / "safety.md").read_text()
    allowed = ENCLAVES["/vdd_ros/policy"]
    assert "the inputs of the robot file" in page
    for name in (allowed.subscribe | allowed.reply | allowed.request) - {"/desired_pose", "/tcp_pose"}:
        last = name.rpartition("/")[2]
        assert re.search(rf"\b{last}\b", page), name


def test_the_node_does_not_start_without_the_requested_security(tmp_path: Path) -> None:
    """A node that ran without it would obey everybody while its operator believed otherwise."""
    enclave = tmp_path / "enclaves" / "vdd_ros" / "policy"
    enclave.mkdir(parents=True)
    for name in ("identity_ca.cert", "cert", "key", "permissions_ca.cert"):
        (enclave / f"{name}.pem").write_text("")
    for name in ("governance", "permissions"):
        (enclave / f"{name}.p7s").write_text("")
    asked = {"ROS_SECURITY_ENABLE": "true", "ROS_SECURITY_STRATEGY": "Enforce", "ROS_SECURITY_KEYSTORE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "vdd_ros.nodes.policy_node", "--ros-args", "--enclave", "/vdd_ros/policy"],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode != 0
    assert "security" in (done.stdout + done.stderr).lower()
