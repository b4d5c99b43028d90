"""The policies behind the nodes of a bag: files, found by hash, and structures."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vdd_ros import resources
from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.structure import OLD_KINDS, STRUCTURES


def match_policies(given: Sequence[Path], wanted: Collection[str]) -> dict[str, Path]:
    """Find the files of the wanted hashes among the given and the shipped ones.

    Args:
        given: Policy files of `--policy`.
        wanted: Hashes named by the nodes of the bags.

    Returns:
        Hash to file, for the files found.

    Raises:
        PolicyFileError: A given file does not exist or is not an ordinary file.
        ConfigurationError: No node ran it.
    """
    try:
        found = {_hash(file): file for file in sorted(resources.path("models").glob("*.onnx"))}
    except ConfigurationError:  # an installation without models
        found = {}
    for file in given:
        digest = _hash(file)
        if digest not in wanted:
            ran = ", ".join(sorted(known[:12] for known in wanted)) or "none that is recorded"
            raise ConfigurationError(
                f"--policy {file} has the hash {digest[:12]}, which no node of the bags ran; they ran {ran}. Give "
                "exactly these files"
            )
        found[digest] = file
    return {digest: file for digest, file in found.items() if digest in wanted}


def structure_of(info: Mapping[str, object]) -> str | None:
    """Return the structure of the policy that a node ran, also of older bags, which name the method as its `kind`.

    Args:
        info: Description that the node published.

    Returns:
        One of `STRUCTURES`, or None if the bag has neither key.
    """
    structure = info.get("structure", OLD_KINDS.get(str(info.get("kind"))))
    return structure if structure in STRUCTURES else None


def method_of(info: Mapping[str, object]) -> str | None:
    """Return the method of the policy that a node ran, also of older bags; None if the bag has neither key."""
    method = info.get("method", info.get("kind"))
    return None if method is None else str(method)


def _hash(file: Path) -> str:
    return PolicyFile.read(file).sha256
