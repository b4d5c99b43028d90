"""Content of `~/policy_info`: the acting policy, its machine and its software."""

from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

from vdd_ros.documents import JsonObject
from vdd_ros.host.facts import RuntimeVersions, available_providers, runtime_versions
from vdd_ros.host.realtime import HostFacts, host_facts
from vdd_ros.host.software import RosFacts, ros_facts
from vdd_ros.nodes.policy.parameters import PolicyParameters
from vdd_ros.policy.act import WarmUp
from vdd_ros.policy.onnx_policy import OnnxPolicy


class PolicyMachine(HostFacts):
    """The machine of a node, and the policy's settings on it.

    Attributes:
        provider, intra_op_threads, inter_op_threads: As in `PolicyParameters`.
        binding: As in `OnnxPolicy`.
    """

    provider: str
    binding: str
    intra_op_threads: int
    inter_op_threads: int


class PolicyInfo(TypedDict):
    """A loaded policy, its settings and its host.

    Attributes:
        node: Full name of the node.
        structure, method, task, experts, sampling_steps, history, horizon, goal_length, warnings: As in `PolicySpec`.
        policy: Name of the policy file, without its folder.
        policy_sha256: Hash of the file.
        rate_hz: Ticks a second.
        control: Whether the node commands; False in shadow mode.
        expert, noise, action_steps, prefetch_ticks, seed: As in `PolicyParameters`.
        deterministic: As `is_deterministic` in `PolicySpec`.
        warm_up_first_ms, warm_up_median_ms: Duration of the first run, and median of the runs after it.
        parameters: All parameters of the node, by name.
        versions: Versions of the packages that run the policy.
        providers: Execution providers of ONNX Runtime.
        ros: ROS 2 and its middleware.
        machine: The host.
    """

    node: str
    structure: str
    method: str
    task: str | None
    experts: int | None
    sampling_steps: int | None
    history: int
    horizon: int
    goal_length: int
    policy: str
    policy_sha256: str
    rate_hz: float
    control: bool
    expert: str
    noise: str
    deterministic: bool
    warnings: list[str]
    action_steps: int
    prefetch_ticks: int
    seed: int
    warm_up_first_ms: float
    warm_up_median_ms: float
    parameters: JsonObject
    versions: RuntimeVersions
    providers: list[str]
    ros: RosFacts
    machine: PolicyMachine


class SessionInfo(PolicyInfo):
    """Content of `~/policy_info`: that of a policy, and additions of its session.

    Attributes:
        wake_early_s: How long before a tick its thread wakes up, seconds.
        jitter_floor: Delays of a thread that only sleeps: the fields of `Jitter`.
        refused: Requests refused by the host; None until the node has made them.
    """

    wake_early_s: float
    jitter_floor: dict[str, float]
    refused: list[str] | None


def policy_info(
    name: str,
    path: str,
    digest: str,
    policy: OnnxPolicy,
    parameters: PolicyParameters,
    rate_hz: float,
    warm_up: WarmUp,
) -> PolicyInfo:
    """Return the description that links a bag's latencies to policy and machine."""
    spec = policy.spec
    return {
        "node": name,
        "structure": spec.structure,
        "method": spec.method,
        "task": spec.task,
        "experts": spec.experts,
        "sampling_steps": spec.sampling_steps,
        "history": spec.history,
        "horizon": spec.horizon,
        "goal_length": spec.goal_length,
        "policy": Path(path).name,
        "policy_sha256": digest,
        "rate_hz": rate_hz,
        "control": parameters.enable_control,
        "expert": parameters.expert,
        "noise": parameters.noise,
        "deterministic": spec.is_deterministic,
        "warnings": list(spec.warnings),
        "action_steps": parameters.action_steps,
        "prefetch_ticks": parameters.prefetch_ticks,
        "seed": parameters.seed,
        "warm_up_first_ms": 1e3 * warm_up.first_s,
        "warm_up_median_ms": 1e3 * warm_up.median_s,
        "parameters": asdict(parameters),
        "versions": runtime_versions(),
        "providers": available_providers(),
        "ros": ros_facts(),
        "machine": {
            **host_facts(),
            "provider": parameters.provider,
            "binding": policy.binding,
            "intra_op_threads": parameters.intra_op_threads,
            "inter_op_threads": parameters.inter_op_threads,
        },
    }
