"""Normalisation of a LeRobot policy: its modes, and the statistics of each feature, wherever the version keeps them.

LeRobot 0.4 and later keep both in the files of two processors, 0.3 keeps the statistics as tensors of the model. What a
checkpoint lacks may come from a data set's meta/stats.json or from demonstrations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from torch import Tensor

from vdd_ros.documents import Json, JsonObject, read_json
from vdd_ros.errors import CheckpointError
from vdd_ros.learning.importing.lerobot_config import TYPES, LeRobotConfig, checked_modes
from vdd_ros.learning.importing.lerobot_tensors import read_tensors
from vdd_ros.learning.importing.set_statistics import ACTION, Values
from vdd_ros.text import printable

PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
NORMALIZER, UNNORMALIZER = "normalizer_processor", "unnormalizer_processor"
EPSILON = 1e-8
"""Added to deviations, and in place of a range of 0."""
NAMES = ("min", "max", "mean", "std")
_PLAIN_STEPS = ("rename_observations_processor", "to_batch_processor", "device_processor")
_MAX_BYTES = 4 << 20
_BUFFERS = {
    "normalize_inputs.buffer_": "observation",
    "normalize_targets.buffer_": "target",
    "unnormalize_outputs.buffer_": "action",
}


@dataclass(frozen=True)
class Normalisation:
    """How a policy normalises.

    Attributes:
        modes: By the type of a feature: `MIN_MAX`, `MEAN_STD` or `IDENTITY`.
        statistics: By feature and name (`min`, `max`, `mean`, `std`), each (entries,); some may be missing.
        epsilon: Added to deviations.
    """

    modes: dict[str, str]
    statistics: dict[str, dict[str, Values]]
    epsilon: float = EPSILON


def is_statistic(name: str) -> bool:
    """Return whether a tensor of the model is a statistic, as in LeRobot 0.3."""
    return any(name.startswith(prefix) for prefix in _BUFFERS)


def read_normalisation(folder: Path, config: LeRobotConfig, tensors: Mapping[str, Tensor]) -> Normalisation:
    """Read modes and statistics.

    Args:
        folder: The checkpoint.
        config: Its config.json.
        tensors: Those of its model.

    Raises:
        CheckpointError: The processors are incomplete or damaged, do something that is not supported, or contradict
            config.json.
    """
    has = [(folder / name).is_file() for name in (PREPROCESSOR, POSTPROCESSOR)]
    if not any(has):
        return Normalisation(config.modes, _usable(_of_buffers(tensors), config, folder))
    if not all(has):
        missing = POSTPROCESSOR if has[0] else PREPROCESSOR
        raise CheckpointError(f"'{printable(folder)}' lacks {missing}; copy the checkpoint again, with all its files")
    before = _Processor(folder / PREPROCESSOR, NORMALIZER).read()
    after = _Processor(folder / POSTPROCESSOR, UNNORMALIZER).read()
    modes = {**before.modes, "ACTION": after.modes["ACTION"]}
    found = {**before.statistics, **{key: one for key, one in after.statistics.items() if key == ACTION}}
    return Normalisation(modes, _usable(found, config, folder), before.epsilon)


class _Processor:
    """One of the two processors."""

    def __init__(self, file: Path, wanted: str) -> None:
        self._file, self._wanted = file, wanted

    def read(self) -> Normalisation:
        """Return what its normalising step does; raise CheckpointError for a step that is not known."""
        fields = read_json(self._file, CheckpointError, max_bytes=_MAX_BYTES)
        steps = fields.get("steps") if isinstance(fields, dict) else None
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            self._refuse("has no list of steps")
        found = [step for step in steps if isinstance(step, dict) and step.get("registry_name") == self._wanted]
        for step in steps:
            name = step.get("registry_name", step.get("class")) if isinstance(step, dict) else None
            if name != self._wanted and name not in _PLAIN_STEPS:
                known = ", ".join((self._wanted, *_PLAIN_STEPS))
                self._refuse(f"has the step {printable(name)!r}, which is not supported ({known} are)")
        if len(found) != 1:
            self._refuse(f"has {len(found)} steps {self._wanted}, not one")
        return self._normalisation(found[0])

    def _refuse(self, problem: str) -> NoReturn:
        raise CheckpointError(f"'{printable(self._file)}' {problem}; copy the checkpoint again")

    def _normalisation(self, step: JsonObject) -> Normalisation:
        config, state = step.get("config"), step.get("state_file")
        if not isinstance(config, dict):
            self._refuse(f"has no config of the step {self._wanted}")
        epsilon = config.get("eps", EPSILON)
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon <= 1:
            self._refuse(f"has the eps {printable(epsilon)!r}, not a number from 0 to 1")
        statistics: dict[str, dict[str, Values]] = {}
        if state is not None:
            if not isinstance(state, str) or Path(state).name != state:
                self._refuse(f"has the state_file {printable(state)!r}, not the name of a file beside it")
            for name, tensor in read_tensors(self._file.with_name(state))[0].items():
                feature, _, statistic = name.rpartition(".")
                if statistic in NAMES:
                    statistics.setdefault(feature, {})[statistic] = _numbers(tensor)
        modes = checked_modes(config.get("norm_map"), self._file)
        return Normalisation({**modes, **self._left_out(config)}, statistics, float(epsilon))

    def _left_out(self, config: JsonObject) -> dict[str, str]:
        """Return `IDENTITY` for the types of features that the step leaves unchanged, whatever the modes say."""
        keys, features = config.get("normalize_observation_keys"), config.get("features")
        if not isinstance(features, dict):
            self._refuse("has no object as the features of the step " + self._wanted)
        if keys is not None and not isinstance(keys, list):
            self._refuse(f"has the normalize_observation_keys {printable(keys)!r}, not a list of keys")
        kept = [ACTION, *(key for key in features if keys is None or key in keys)]
        return {kind: "IDENTITY" for key, kind in TYPES.items() if key not in kept}


def _of_buffers(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Values]]:
    """Return the statistics in a model of LeRobot 0.3: normalize_inputs.buffer_observation_state.min and so on."""
    found: dict[str, dict[str, Values]] = {}
    for prefix, part in _BUFFERS.items():
        for name, tensor in tensors.items():
            if part != "target" and name.startswith(prefix):
                feature, _, statistic = name.removeprefix(prefix).partition(".")
                key = ACTION if part == "action" else feature.replace("observation_", "observation.", 1)
                found.setdefault(key, {})[statistic] = _numbers(tensor)
    return found


def _numbers(tensor: Tensor) -> Values:
    return np.asarray(tensor.detach().double().flatten().numpy())


def _usable(
    found: Mapping[str, Mapping[str, Values]], config: LeRobotConfig, folder: Path
) -> dict[str, dict[str, Values]]:
    """Return the statistics of the policy's features; those that are not finite, as LeRobot 0.3 marks unset ones, not.

    Raises:
        CheckpointError: One has another size than its feature, or a range or deviation is negative.
    """
    usable: dict[str, dict[str, Values]] = {}
    for key, size in config.sizes.items():
        mine = {name: found.get(key, {})[name] for name in NAMES if name in found.get(key, {})}
        for name, values in mine.items():
            if values.shape != (size,):
                raise CheckpointError(
                    f"'{printable(folder)}' has {values.size} numbers in {key}.{name}, but {key} has {size} entries; "
                    "copy the checkpoint again"
                )
        usable[key] = {name: values for name, values in mine.items() if np.isfinite(values).all()}
        if "min" in usable[key] and "max" in usable[key] and (usable[key]["min"] > usable[key]["max"]).any():
            raise CheckpointError(f"'{printable(folder)}' has a minimum of {key} above its maximum; copy it again")
        if "std" in usable[key] and (usable[key]["std"] < 0).any():
            raise CheckpointError(f"'{printable(folder)}' has a deviation of {key} below 0; copy it again")
    return usable


def read_statistics_file(file: Path, config: LeRobotConfig) -> dict[str, dict[str, Values]]:
    """Read a data set's meta/stats.json: {feature: {min, max, mean, std, ...}}.

    Raises:
        CheckpointError: It is no such file, or its sizes are not those of the policy.
    """
    fields = read_json(file, CheckpointError)
    if not isinstance(fields, dict):
        raise CheckpointError(f"'{printable(file)}' is not a JSON object; give a data set's meta/stats.json")
    found = {key: dict(_listed(one)) for key, one in fields.items() if isinstance(one, dict)}
    if not any(found.get(key) for key in config.sizes):
        raise CheckpointError(
            f"'{printable(file)}' has no statistics of {', '.join(config.sizes)}; give the meta/stats.json of the data "
            "set that the policy learned from"
        )
    return _usable(found, config, file)


def _listed(feature: Mapping[str, Json]) -> Iterator[tuple[str, Values]]:
    for name in NAMES:
        values = feature.get(name)
        if isinstance(values, list) and all(type(one) in (int, float) for one in values):
            yield name, np.array(values, np.float64)
