"""Parameters, robot files and metadata made up by chance: taken, or refused with a reason, and never anything else."""

import copy
import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node_rig import AVOIDING
from policy_files import diffusion_spec, mixture_spec, write_mixture

pytest.importorskip("rclpy")

from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter

from vdd_ros.errors import PolicyFileError, RobotFileError, VddError
from vdd_ros.nodes.policy_node import PolicyNode
from vdd_ros.nodes.policy_parameters import SENDS, TRIGGERS, PolicyParameters
from vdd_ros.policy.commander import FIRST_ACTIONS
from vdd_ros.policy.guards import ON_NOVELTY
from vdd_ros.policy.onnx_policy import NOISES
from vdd_ros.policy.providers import PROVIDERS
from vdd_ros.policy.robot import RobotFile
from vdd_ros.policy.selection import SELECTIONS
from vdd_ros.policy.spec import PolicySpec

# The same cases each time: a test that fails by chance helps nobody who changed something else.
MANY = settings(max_examples=300, deadline=None, derandomize=True)
FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
FORESEEN = {"InvalidTopicNameException"}  # rclpy's own words for it are good
HOST = {"fifo_priority", "cpu_affinity", "lock_memory"}  # would change the process of the tests
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


VALUES = {item.name: values(item) for item in fields(PolicyParameters)}
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


def check_reason(failure: str) -> None:
    """Check that a failure is one that was thought of."""
    assert failure.startswith("configure: ")
    unforeseen = re.match(r"configure: (\w+(?:Error|Exception)): ", failure)
    assert unforeseen is None or unforeseen[1] in FORESEEN, failure


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
            if not HOST & given.keys():
                node.trigger_activate()
                assert (node.state, node.failure) == ("active", "")
                node.trigger_deactivate()
            node.trigger_cleanup()
        else:
            check_reason(node.failure)
        assert (node.state, node.session) == ("unconfigured", None)
        assert entities(node) == before
        defaults = {item.name: item.default for item in fields(PolicyParameters)}
        node.set_parameters([Parameter(name, value=value) for name, value in (defaults | good).items()])
        node.trigger_configure()
        assert (node.state, node.failure) == ("inactive", "")
        node.trigger_cleanup()
    finally:
        node.destroy_node()


JSON = st.one_of(
    st.none(), INTEGERS, FLOATS, st.booleans(), st.sampled_from(["", "x", "m", "a.b"]), st.just([]), st.just({})
)


@st.composite
def spoilt(draw: st.DrawFn, document: Any) -> Any:
    """Return a document of which one to three values, at any depth, are others, gone, or there twice."""
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
    for entry in robot.command.entries:
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
    path = Path("robot.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_, **__: text)
        with pytest.raises(RobotFileError):
            RobotFile.load(path)
