"""Random parameters, robot files and metadata: accepted, or refused with a reason."""

import copy
import json
import math
import re
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node_rig import AVOIDING, MakeNode, started
from policy_files import diffusion_spec, mixture_spec, write_mixture
from ros_helpers import Bench

pytest.importorskip("rclpy")

from fault_rig import Watched
from rcl_interfaces.srv import SetParameters
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter

from vdd_ros.control.commander import FIRST_ACTIONS
from vdd_ros.control.guards import ON_NOVELTY
from vdd_ros.errors import PolicyFileError, RobotFileError, VddError
from vdd_ros.nodes.policy.loader import LOADING
from vdd_ros.nodes.policy.parameters import TRIGGERS, PolicyParameters
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.policy.onnx_policy import NOISES
from vdd_ros.policy.providers import PROVIDERS
from vdd_ros.policy.selection import SELECTIONS
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.robot.commands import SENDS
from vdd_ros.robot.robot_file import RobotFile

# The same cases each time: a test that fails by chance helps nobody who changed something else.
MANY = settings(max_examples=300, deadline=None, derandomize=True)
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
FORESEEN = {"InvalidTopicNameException"}  # rclpy's own words for it are good
CORES = ["99999999999", "2147483647", "100000", "-1", "a,b", "0,,1", " ", "0 1", "0-", "\u0663", "1e3", "0x1"]
HOST = {
    "fifo_priority": st.sampled_from([0, 1, 50, 99]),
    "cpu_affinity": st.sampled_from(["", "0", "0,1", *CORES]),
    "lock_memory": st.booleans(),
    "gc_freeze": st.booleans(),
}
INTEGERS = st.sampled_from([-(2**63), -1, 0, 1, 2, 3, 5, 7, 2**31, 2**63 - 1])
FLOATS = st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 5e-324, 1e-9, 0.001, 1.0, 30.0, 1000.0, 1e308])
WORDS = [*SENDS, *TRIGGERS, *SELECTIONS, *NOISES, *FIRST_ACTIONS, *ON_NOVELTY, *PROVIDERS]
WORDS += ["/dev/null", "/", ".", "", "0,1", "0-3", "nan", "~/x", "/a//b", "a-b", "{}"]
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ANY = st.one_of(INTEGERS, FLOATS, TEXTS, st.booleans(), st.sampled_from([[], ["a"], [1, 2], [1.5], [True]]))


@st.composite
def values(draw: st.DrawFn, item: Any) -> Any:
    """Return a value for a parameter: mostly of its type and within its range, sometimes anything."""
    kind = draw(st.sampled_from(["allowed"] * 6 + ["of its type"] * 3 + ["any"]))
    if kind == "any":
        return draw(ANY)
    low, high = item.metadata["range"]
    if kind == "allowed" and low is not None:
        number = type(item.default)
        return number(draw(st.sampled_from([low, high, item.default, low + (high - low) // 100, low + 1e-12])))
    return draw({bool: st.booleans(), int: INTEGERS, float: FLOATS, str: TEXTS}[type(item.default)])


VALUES = {item.name: values(item) for item in fields(PolicyParameters) if not item.metadata["fixed"]}
VALUES["cpu_affinity"] |= st.sampled_from(CORES)
GIVEN = st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, rclpy_context: None) -> dict[str, Any]:
    """Return parameters with which a node can be configured."""
    path = write_mixture(tmp_path_factory.mktemp("policy") / "policy.onnx", horizon=4)
    return {"policy_path": str(path), "robot_file": str(AVOIDING), "warmup_runs": 2}


def entities(node: PolicyNode) -> list[int]:
    return [len(list(each)) for each in (node.publishers, node.subscriptions, node.services, node.clients, node.timers)]


def await_load() -> None:
    """Wait for a load that exceeded its limit: until it has ended, no other one is allowed."""
    for thread in threading.enumerate():
        if thread.name == LOADING:
            thread.join()


def check_reason(failure: str) -> None:
    """Check that a failure is one that was thought of."""
    assert failure.startswith("configure: ")
    unforeseen = re.match(r"configure: (\w+(?:Error|Exception)): ", failure)
    assert unforeseen is None or unforeseen[1] in FORESEEN, failure


@pytest.fixture(scope="module", autouse=True)
def _process_of_the_tests() -> Iterator[None]:
    """Other parts of the host's settings end with the thread that ticks; locked memory would outlast it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vdd_ros.nodes.policy.session.JITTER_SLEEPS", 1)
        patch.setattr("vdd_ros.host.realtime._lock_memory", lambda: None)
        yield


@FEW
@given(GIVEN)
def test_parameters_configure_or_are_refused_with_a_reason(good: dict[str, Any], given: dict[str, Any]) -> None:
    """What is taken can be activated too; nothing is left of what was refused, and good parameters work afterwards."""
    try:
        overrides = [Parameter(name, value=value) for name, value in (good | given).items()]
        node = PolicyNode("fuzzed", parameter_overrides=overrides)
    except (VddError, ParameterException) as error:
        assert any(name in str(error) for name in given)
        return
    try:
        before = entities(node)
        node.trigger_configure()
        if node.state == "inactive":
            assert node.failure == ""
            node.trigger_activate()
            assert (node.state, node.failure) == ("active", "")
            node.trigger_deactivate()
            node.trigger_cleanup()
        else:
            check_reason(node.failure)
        assert (node.state, node.session) == ("unconfigured", None)
        assert entities(node) == before
        await_load()
        defaults = {item.name: item.default for item in fields(PolicyParameters) if not item.metadata["fixed"]}
        node.set_parameters([Parameter(name, value=value) for name, value in (defaults | good).items()])
        node.trigger_configure()
        assert (node.state, node.failure) == ("inactive", "")
        node.trigger_cleanup()
    finally:
        node.destroy_node()


@settings(FEW, max_examples=20)
@given(st.fixed_dictionaries(HOST))
def test_host_settings_are_refused_or_the_node_ticks(good: dict[str, Any], given: dict[str, Any]) -> None:
    """Refusals of the host are reported, and never end the ticking thread."""
    bench = Bench()
    try:
        check_host(bench, good | given)
    finally:
        bench.close()


@pytest.mark.parametrize("cores", CORES)
def test_cores_that_do_not_exist(bench: Bench, good: dict[str, Any], cores: str) -> None:
    """Each of them, so that none is left to chance."""
    check_host(bench, good | {"cpu_affinity": cores})


def check_host(bench: Bench, parameters: dict[str, Any]) -> None:
    """Check that a node refuses parameters with a reason, or ticks with them."""
    overrides = [Parameter(name, value=value) for name, value in (parameters | {"rate_hz": 100.0}).items()]
    node: PolicyNode = bench.add(PolicyNode("host", parameter_overrides=overrides))
    node.trigger_configure()
    if node.session is None:
        check_reason(node.failure)
        assert "cpu_affinity" in node.failure
        return
    node.trigger_activate()
    counters = node.session.loop.counters
    bench.wait(lambda: counters.ticks > 1, "ticks")
    assert (node.state, node.failure) == ("active", "")
    node.trigger_deactivate()


def shown(values: dict[str, Any]) -> str:
    """Return values so that NaN equals NaN."""
    return repr(sorted(values.items()))


@pytest.fixture
def running(make_node: MakeNode, bench: Bench, good: dict[str, Any]) -> tuple[PolicyNode, Watched, Any]:
    """An active node, its robot, and what sets a dictionary of its parameters over DDS and returns the answers."""
    watched = Watched(bench)
    node = started(make_node(policy_path=good["policy_path"]))
    client = bench.node.create_client(SetParameters, "/policy/set_parameters")
    watched.run_until(client.service_is_ready, "the service")
    watched.run_for_commands()

    def put(values: dict[str, Any]) -> Any:
        wanted = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        answer = client.call_async(SetParameters.Request(parameters=wanted))
        watched.run_until(answer.done, "the answer")
        return answer.result().results

    return node, watched, put


def test_no_parameter_changes_an_active_node(running: tuple[PolicyNode, Watched, Any]) -> None:
    """All are refused with a reason but `next_policy`, and the node goes on as before."""
    node, watched, put = running
    before = {item.name: node.get_parameter(item.name).value for item in fields(PolicyParameters)}
    assert node.session is not None
    parameters = node.session._parameters

    @FEW
    @given(GIVEN)
    def change(given: dict[str, Any]) -> None:
        for (name, value), result in zip(given.items(), put(given), strict=True):
            assert result.successful == (name == "next_policy" and isinstance(value, str)), (name, value)
            assert result.successful or result.reason
        assert node.session is not None
        assert node.session._parameters is parameters

    change()
    after = {name: node.get_parameter(name).value for name in before}
    after["next_policy"] = before["next_policy"]
    assert shown(after) == shown(before)
    watched.run_for_commands(50)
    assert (node.state, node.failure) == ("active", "")
    watched.check()


@pytest.mark.parametrize(
    "values", [{"use_sim_time": True}, {"unheard_of": 1}, {"rate_hz": 1.0, "unheard_of": 1}], ids=str
)
def test_parameters_that_are_not_its_own(running: tuple[PolicyNode, Watched, Any], values: dict[str, Any]) -> None:
    """Refused too: simulated time would leave an active node without a clock."""
    node, watched, put = running
    for result in put(values):
        assert not result.successful
        assert result.reason
    assert not node.get_parameter("use_sim_time").value
    watched.run_for_commands(50)
    watched.check()


JSON = st.one_of(
    st.none(), INTEGERS, FLOATS, st.booleans(), st.sampled_from(["", "x", "m", "a.b"]), st.just([]), st.just({})
)


@st.composite
def spoilt(draw: st.DrawFn, document: Any) -> Any:
    """Return a document with one to three values, at any depth, changed, missing or duplicated."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        holder = parent = document
        key: Any = None
        while isinstance(holder, dict | list) and holder:
            parent, keys = holder, sorted(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = draw(st.sampled_from(keys))
            holder = parent[key]
            if draw(st.booleans()):
                break
        if key is None:
            return document
        change = draw(st.sampled_from(["replace", "replace", "delete", "more"]))
        if change == "delete":
            del parent[key]
        elif change == "more" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[key]))
        elif change == "more":
            parent["unheard_of"] = parent[key]
        else:
            parent[key] = draw(JSON)
    return document


@MANY
@given(spoilt(yaml.safe_load(AVOIDING.read_text())))
def test_spoilt_robot_files_are_taken_or_refused(document: Any) -> None:
    """What is taken has limits that hold."""
    try:
        robot = RobotFile.from_dict(document)
        spec = mixture_spec()
        robot.check(spec.observation, spec.action)
    except RobotFileError as error:
        assert str(error)
        return
    for entry in robot.command_entries:
        assert entry.low < entry.high
        assert entry.max_step > 0
    assert all(0 < source.max_age_s < math.inf for source in robot.inputs)


@MANY
@given(st.one_of(*(spoilt(json.loads(make().to_json())) for make in (mixture_spec, diffusion_spec))))
def test_spoilt_metadata_are_taken_or_refused(document: Any) -> None:
    """What is taken is written and read again as it is."""
    try:
        spec = PolicySpec.from_json(json.dumps(document))
    except PolicyFileError as error:
        assert str(error)
        return
    assert PolicySpec.from_json(spec.to_json()) == spec


@MANY
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_texts_that_are_no_robot_file(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "robot.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(RobotFileError):
            RobotFile.load(path)
