"""The latency record of a tick, and percentiles over the newest records."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError

AGE = "age_s."
"""Beginning of the label of an input's age; the input's name follows."""
LATENCY_LABELS = (
    "seq",
    "stamp_s",
    "period_s",
    "lateness_s",
    "observation_age_s",
    "assemble_s",
    "inference_s",
    "publish_s",
    "total_s",
    "bookkeeping_s",
    "deadline_missed",
    "commanded",
    "novelty",
    "chunk_step",
    "skew_s",
)
"""The labels of every record; those of the inputs' ages follow, see `latency_labels`."""
_INDEX = {label: i for i, label in enumerate(LATENCY_LABELS)}
_COUNT = len(LATENCY_LABELS)


def latency_labels(inputs: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of the records of a robot with these inputs, in order."""
    return (*LATENCY_LABELS, *(f"{AGE}{name}" for name in inputs))


class LatencyRecord:
    """Durations of one tick, in one array that every tick reuses.

    Args:
        inputs: The inputs whose ages it holds.

    Attributes:
        labels: Names of the values.
        values: (len(labels),) in the order of the labels; NaN if not measured.
        common: (len(LATENCY_LABELS),) a view of the values of `LATENCY_LABELS`.
    """

    def __init__(self, inputs: Sequence[str] = ()) -> None:
        self.labels = latency_labels(inputs)
        self.values = np.full(len(self.labels), np.nan)
        self.common = self.values[:_COUNT]
        self._pack = struct.Struct(f"{len(self.labels)}d").pack_into

    def clear(self) -> None:
        """Clear the measurements."""
        self.values.fill(np.nan)

    def fill(self, values: tuple[float, ...]) -> None:
        """Set every number, in the order of the labels."""
        self._pack(self.values.data, 0, *values)  # takes a third of the time of numpy's conversion

    def __getitem__(self, label: str) -> float:
        return float(self.values[_INDEX[label] if label in _INDEX else self.labels.index(label)])

    def __setitem__(self, label: str, value: float) -> None:
        self.values[_INDEX[label]] = value


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of `count` values; NaN without values."""

    p50: float
    p95: float
    p99: float
    count: int


class LatencyStatistics:
    """Percentiles of each label over the newest records, in fixed memory.

    Args:
        window: Number of newest records that count.
        warm_up: Number of first records to skip.

    Raises:
        ConfigurationError: The window is below 1 or the warm-up is negative.
    """

    def __init__(self, window: int = 1000, *, warm_up: int = 0) -> None:
        if window < 1:
            raise ConfigurationError(f"window is {window}; it must be 1 record or more.")
        if warm_up < 0:
            raise ConfigurationError(f"warm_up is {warm_up}; it must be 0 records or more.")
        self._records = np.full((window, len(LATENCY_LABELS)), np.nan)
        self._warm_up = warm_up
        self.reset()

    def reset(self) -> None:
        """Forget all records; the warm-up starts anew."""
        self._records.fill(np.nan)
        self._added = 0

    def add(self, record: LatencyRecord) -> None:
        """Count a record."""
        counted = self._added - self._warm_up
        if counted >= 0:
            self._records[counted % len(self._records)] = record.common
        self._added += 1

    def percentiles(self, label: str) -> Percentiles:
        """Return the percentiles of a label; non-finite values do not count."""
        values: NDArray[np.float64] = self._records[:, _INDEX[label]]
        values = values[np.isfinite(values)]
        if not values.size:
            return Percentiles(np.nan, np.nan, np.nan, 0)
        p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
        return Percentiles(p50, p95, p99, values.size)
