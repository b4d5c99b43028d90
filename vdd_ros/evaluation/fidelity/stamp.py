"""Figures of fidelity in the metadata of the student's policy file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx

from vdd_ros.errors import PolicyFileError
from vdd_ros.files import replacing
from vdd_ros.policy.onnx_session import read_spec
from vdd_ros.policy.policy_file import PolicyFile, opened
from vdd_ros.policy.spec import METADATA_KEY
from vdd_ros.text import printable

STAMP = "against_teacher"


def stamp(file: Path | PolicyFile, figures: Mapping[str, object]) -> PolicyFile:
    """Write figures into the `fidelity` of a policy file, under `against_teacher`; the graph is unchanged.

    Args:
        file: The policy file, replaced as a whole or not at all; one that was read must not have changed since.
        figures: A JSON object of finite values.

    Returns:
        The updated file.

    Raises:
        PolicyFileError: The file is not a policy file, or has changed; the figures are not a JSON object, or too many.
    """
    found = opened(file)
    if PolicyFile.read(found.path).sha256 != found.sha256:
        raise PolicyFileError(
            f"{printable(found.path)} changed while it was measured: the figures are of another file. Measure again."
        )
    spec = read_spec(found)
    text = replace(spec, fidelity={**spec.fidelity, STAMP: dict(figures)}).to_json()
    try:
        model = onnx.load_model_from_string(found.content)
    except Exception as error:  # damaged files make protobuf raise nearly anything
        raise PolicyFileError(
            f"{printable(found.path)} cannot be read as ONNX ({printable(error)}). Copy it or export it again."
        ) from error
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = text
    with replacing(found.path) as aside:
        aside.write_bytes(model.SerializeToString(deterministic=True))
        return replace(PolicyFile.read(aside), path=found.path)
