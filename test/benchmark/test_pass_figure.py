"""The figure of a comparison of passes: of any number of pairs, and of the record in results/."""

import json
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from vdd_ros.benchmark.pass_figure import draw
from vdd_ros.benchmark.pass_times import PassComparison, PassRecord, PassTime

SHIPPED = Path(__file__).resolve().parents[2] / "results/pass.json"


def shipped() -> PassRecord:
    record: Any = json.loads(SHIPPED.read_text())
    for pair in record["comparisons"]:
        pair |= {side: PassTime(**pair[side]) for side in ("policy", "against")}
    record["comparisons"] = [PassComparison(**pair) for pair in record["comparisons"]]
    found: PassRecord = record
    return found


@pytest.mark.parametrize("pairs", [1, 4])
def test_a_row_is_drawn_for_each_pair(tmp_path: Path, pairs: int) -> None:
    record = shipped()
    draw(tmp_path / "pass.png", {**record, "comparisons": record["comparisons"][:pairs]})
    height, width, _ = matplotlib.image.imread(tmp_path / "pass.png").shape
    assert (height, width) == (150 * (1.6 + 0.5 * pairs), 150 * 9)


def test_the_figure_of_the_record_ships() -> None:
    assert matplotlib.image.imread(SHIPPED.with_suffix(".png")).shape[0] == 150 * (1.6 + 0.5 * 4)
