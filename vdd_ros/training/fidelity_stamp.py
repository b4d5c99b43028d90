"""Figures of fidelity in the metadata of the student's policy file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from vdd_ros.errors import PolicyFileError
from vdd_ros.files import replacing
from vdd_ros.policy.spec import METADATA_KEY, PolicySpec

STAMP = "against_teacher"


def stamp(file: Path, figures: Mapping[str, Any]) -> None:
    """Write figures into the `fidelity` of a policy file, under `against_teacher`; the graph stays as it is.

    Args:
        file: The policy file; replaced as a whole or not at all.
        figures: A JSON object of finite values.

    Raises:
        PolicyFileError: The file is no policy file, or the figures are no such object.
    """
    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:  # damaged files make protobuf raise nearly anything
        raise PolicyFileError(f"{file} cannot be read as ONNX ({error}). Copy it or export it again.") from error
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            spec = PolicySpec.from_json(entry.value)
            entry.value = replace(spec, fidelity={**spec.fidelity, STAMP: dict(figures)}).to_json()
            break
    else:
        raise PolicyFileError(f"{file} has no metadata {METADATA_KEY!r}. Make policy files with vdd export.")
    content = model.SerializeToString(deterministic=True)
    with replacing(file) as aside:
        aside.write_bytes(content)
