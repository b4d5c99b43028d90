"""The latency record and its windowed percentiles."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.control.timing import LATENCY_LABELS, LatencyRecord, LatencyStatistics
from vdd_ros.errors import ConfigurationError


def _add(statistics: LatencyStatistics, values: list[float]) -> None:
    record = LatencyRecord()
    for value in values:
        record["inference_s"] = value
        statistics.add(record)


def test_the_labels_are_those_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "node.md").read_text(encoding="utf-8")
    sentence = re.search(r"The latency record's labels, in order:(.*?)\.\n", page, re.DOTALL)
    assert sentence is not None
    assert tuple(re.findall(r"`(\w+)`", sentence[1])) == LATENCY_LABELS


def test_a_record_holds_each_label_at_its_place() -> None:
    record = LatencyRecord()
    assert np.isnan(record.values).all()
    for i, label in enumerate(LATENCY_LABELS):
        record[label] = i
    assert record.values.tolist() == list(range(len(LATENCY_LABELS)))
    assert record["total_s"] == LATENCY_LABELS.index("total_s")
    record.clear()
    assert np.isnan(record.values).all()
    with pytest.raises(KeyError):
        record["lunch_s"] = 1.0


def test_percentiles_of_known_values() -> None:
    statistics = LatencyStatistics(window=101)
    _add(statistics, [float(v) for v in np.random.default_rng(0).permutation(101)])
    p = statistics.percentiles("inference_s")
    assert (p.p50, p.p95, p.p99, p.count) == (50, 95, 99, 101)


def test_only_the_newest_records_of_the_window_count() -> None:
    statistics = LatencyStatistics(window=3)
    _add(statistics, [100, 100, 1, 2, 3])
    p = statistics.percentiles("inference_s")
    assert (p.p50, p.count) == (2, 3)


def test_the_warm_up_does_not_count() -> None:
    statistics = LatencyStatistics(window=10, warm_up=2)
    _add(statistics, [1000, 1000])
    assert statistics.percentiles("inference_s").count == 0
    _add(statistics, [4, 4, 4])
    p = statistics.percentiles("inference_s")
    assert (p.p50, p.p99, p.count) == (4, 4, 3)
    statistics.reset()
    _add(statistics, [1000, 1000, 5])
    p = statistics.percentiles("inference_s")
    assert (p.p50, p.count) == (5, 1)


def test_values_that_were_not_measured_do_not_count() -> None:
    statistics = LatencyStatistics()
    _add(statistics, [1, math.nan, math.inf, 3])
    p = statistics.percentiles("inference_s")
    assert (p.p50, p.count) == (2, 2)
    nothing = statistics.percentiles("publish_s")
    assert math.isnan(nothing.p50)
    assert nothing.count == 0


def test_a_record_may_be_used_again_after_it_was_added() -> None:
    statistics, record = LatencyStatistics(), LatencyRecord()
    record["total_s"] = 1.0
    statistics.add(record)
    record["total_s"] = 9.0
    assert statistics.percentiles("total_s").p99 == 1.0


def test_sizes_out_of_range_are_errors() -> None:
    with pytest.raises(ConfigurationError, match="window is 0"):
        LatencyStatistics(window=0)
    with pytest.raises(ConfigurationError, match="warm_up is -1"):
        LatencyStatistics(warm_up=-1)
