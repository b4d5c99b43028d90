"""Whether a policy file may replace an existing file."""

from pathlib import Path

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.learning.fit.metadata import CheckpointMetadata
from vdd_ros.policy.onnx_session import read_spec
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.text import printable


def check_policy_place(file: Path, metadata: CheckpointMetadata) -> None:
    """Refuse to replace anything except a policy of the same training run, whatever its export settings.

    Args:
        file: The policy file to write.
        metadata: Metadata of its checkpoint.

    Raises:
        ConfigurationError: The path holds something else; --force replaces it.
    """
    if not file.is_file():
        return
    mend = "name another file, or replace it with --force"
    try:
        spec = read_spec(PolicyFile.read(file))
    except PolicyFileError as error:
        raise ConfigurationError(
            f"--out {printable(file)} exists and is not a policy file ({error}); {mend}"
        ) from error
    names = ("structure", "method", "task", "data_sha256", "teacher_sha256")
    settings = {name: spec.settings.get(name) for name in metadata.settings}  # the file's has those of its export too
    if settings != metadata.settings or any(getattr(spec, name) != getattr(metadata, name) for name in names):
        seed = printable(spec.settings.get("seed"), 20)
        raise ConfigurationError(
            f"--out {printable(file)} holds another policy: {spec.method} of {printable(spec.task)}, seed {seed}, "
            f"other training; {mend}"
        )
