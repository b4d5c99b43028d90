"""A configuration of OmegaConf in a pickle, as plain dictionaries and lists."""

import re
from typing import Any

from vdd_ros.documents import JsonObject
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.importing.torch_archive import Foreign

_MODULE = "omegaconf."
_CONTENT, _VALUE = "_content", "_val"
_REFERENCE = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")
_MOST_VALUES = 100_000
_DEEPEST = 40


def configuration(value: object, source: str) -> JsonObject:
    """Return a configuration whose references to other fields are followed; other expressions remain texts.

    Args:
        value: Of the pickle; plain dictionaries are taken too.
        source: File, in quotes, for errors.

    Raises:
        CheckpointError: It is none, or has too many values or references.
    """
    reader = _Reader(source)
    whole = reader.plain(value, 0)
    if not isinstance(whole, dict):
        raise CheckpointError(f"{source} has no configuration cfg; name a checkpoint of diffusion_policy")
    resolved = reader.resolved(whole, whole, 0)
    return resolved if isinstance(resolved, dict) else {}


class _Reader:
    def __init__(self, source: str) -> None:
        self._source, self._left = source, _MOST_VALUES

    def plain(self, value: object, depth: int) -> Any:
        """Return a value without OmegaConf's classes; objects of other classes become None."""
        self._count(depth)
        if isinstance(value, Foreign) and value.name.startswith(_MODULE) and isinstance(value.state, dict):
            content = value.state.get(_CONTENT, value.state.get(_VALUE))
            return self.plain(content, depth + 1)
        if isinstance(value, dict):
            return {str(key): self.plain(one, depth + 1) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(one, depth + 1) for one in value]
        return value if isinstance(value, bool | int | float | str) else None

    def resolved(self, value: Any, whole: dict[str, Any], depth: int) -> Any:
        """Return a value with the fields that it refers to."""
        self._count(depth)
        if isinstance(value, dict):
            return {key: self.resolved(one, whole, depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.resolved(one, whole, depth + 1) for one in value]
        found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return value
        target: Any = whole
        for part in found[1].split("."):
            if not isinstance(target, dict) or part not in target:
                return value
            target = target[part]
        return self.resolved(target, whole, depth + 1)

    def _count(self, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise CheckpointError(f"{self._source} has a configuration with too many values or levels; save it anew")
