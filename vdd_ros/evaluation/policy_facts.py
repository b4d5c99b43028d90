"""Facts of a policy file in the records of comparisons and evaluations."""

from typing import TypedDict

from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.spec import PolicySpec


class PolicyFacts(TypedDict):
    """A policy file.

    Attributes:
        file: Name of the file, without its folder.
        sha256: Hash of the file.
        bytes: Size of the file.
        structure, method, experts, sampling_steps, history, horizon, goal_length, teacher_sha256, data_sha256: As in
            its metadata (`PolicySpec`).
    """

    file: str
    sha256: str
    bytes: int
    structure: str
    method: str
    experts: int | None
    sampling_steps: int | None
    history: int
    horizon: int
    goal_length: int
    teacher_sha256: str | None
    data_sha256: str | None


def policy_facts(file: PolicyFile, policy: PolicySpec) -> PolicyFacts:
    """Return the facts of a file with this metadata."""
    return {
        "file": file.path.name,
        "sha256": file.sha256,
        "bytes": len(file.content),
        "structure": policy.structure,
        "method": policy.method,
        "experts": policy.experts,
        "sampling_steps": policy.sampling_steps,
        "history": policy.history,
        "horizon": policy.horizon,
        "goal_length": policy.goal_length,
        "teacher_sha256": policy.teacher_sha256,
        "data_sha256": policy.data_sha256,
    }
