"""The policy files behind the nodes of a bag, found by their hashes."""

from collections.abc import Collection, Sequence
from pathlib import Path

from vdd_ros import resources
from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.policy_file import PolicyFile

SHIPPED = ("models/avoiding_student.onnx", "models/avoiding_teacher.onnx")


def match_policies(given: Sequence[Path], wanted: Collection[str]) -> dict[str, Path]:
    """Find the files of some hashes among those given and those shipped.

    Args:
        given: Policy files of `--policy`.
        wanted: Hashes that the nodes of the bags named.

    Returns:
        Hash to file, for those that were found.

    Raises:
        PolicyFileError: A given file does not exist or is no ordinary file.
        ConfigurationError: No node ran it.
    """
    found = {}
    for name in SHIPPED:
        try:
            file = resources.path(name)
        except ConfigurationError:  # an installation without models
            continue
        found[_hash(file)] = file
    for file in given:
        digest = _hash(file)
        if digest not in wanted:
            ran = ", ".join(sorted(known[:12] for known in wanted)) or "none that is recorded"
            raise ConfigurationError(
                f"--policy {file} has the hash {digest[:12]}, which no node of the bags ran; they ran {ran}. Give the "
                "very files that ran"
            )
        found[digest] = file
    return {digest: file for digest, file in found.items() if digest in wanted}


def _hash(file: Path) -> str:
    return PolicyFile.read(file).sha256
