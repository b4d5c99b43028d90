"""What the figures of reports and benchmarks show: texts, lines and limits, not pixels."""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from bag_files import LABELS, write_bag
from benchmark_records import record

pytest.importorskip("matplotlib")

from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from vdd_ros.benchmark.methods import figures as benchmark_figures
from vdd_ros.benchmark.methods.matrix import METHODS
from vdd_ros.benchmark.methods.summary import group
from vdd_ros.benchmark.speed import command as speed
from vdd_ros.benchmark.speed.figures import SpeedRecord
from vdd_ros.demo import soak_figure
from vdd_ros.evaluation.fidelity import figure as fidelity_figure
from vdd_ros.evaluation.latency import stage_figure as report_figure
from vdd_ros.evaluation.latency.figures import draw_figures
from vdd_ros.evaluation.latency.report import make_report
from vdd_ros.evaluation.novelty import figure as novelty_figure
from vdd_ros.evaluation.novelty.probes import Found
from vdd_ros.learning.fit import figure as training_figure

PERIOD_S = 0.035


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """Keep every figure that a function draws, and end with all of them closed."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *args: Any, **options: Any) -> None:
        figures.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    yield figures
    plt.close("all")


def texts(figure: Figure) -> list[str]:
    """Return every text of a drawn figure that is not empty: legends, ticks, titles and labels."""
    return [text for item in figure.findobj(Text) if (text := item.get_text())]


def bag_of(folder: Path, *, outlier_s: float | None = None, actions: int = 2) -> Path:
    """A student of 200 µs and a teacher of 1.2 ms at 28.57 Hz, 80 ticks each, that decide alike."""
    rng = np.random.default_rng(0)
    names = [f"action.joint_{k}" for k in range(actions)]
    labels = ("seq", "stamp_s", "log_prob", "expert", *names)
    nodes, decisions, infos = {}, {}, {}
    for node, typical_s in (("/student", 2e-4), ("/teacher", 1.2e-3)):
        values = rng.lognormal(0.0, 0.3, (80, len(LABELS))) * typical_s
        columns = dict(zip(LABELS, values.T, strict=True))
        columns["seq"][:], columns["stamp_s"][:] = np.arange(80), 100 + PERIOD_S * np.arange(80)
        columns["period_s"][:] = PERIOD_S + rng.normal(0, 1e-5, 80)
        columns["lateness_s"][40] = outlier_s or columns["lateness_s"][40]
        columns["deadline_missed"][:] = 0
        nodes[node] = values
        answers = np.concatenate([values[:, :2], np.full((80, 2), np.nan), rng.normal(size=(80, actions))], axis=1)
        decisions[node] = [(labels, answers)]
        steps = {"sampling_steps": 8} if node == "/teacher" else {}
        infos[node] = {"kind": "ddpm" if steps else "vdd", "rate_hz": 1 / PERIOD_S, **steps}
    return write_bag(folder / "bag", nodes, infos, decisions=decisions)


def test_the_figure_of_a_bag_has_times_with_units_and_the_period(tmp_path: Path, drawn: list[Figure]) -> None:
    bag = make_report([bag_of(tmp_path)]).bags[0]
    report_figure.save_figure(tmp_path / "l.png", bag.nodes, bag.latency)
    (figure,) = drawn
    (axes,) = figure.axes
    shown = texts(figure)
    assert not [text for text in shown if "e+" in text or "e-" in text or "$" in text]
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("teacher: inference, median 1." in text and text.endswith("ms") for text in named)
    assert "control period, 35.0\u202fms" in named
    assert PERIOD_S in [line.get_xdata()[0] for line in axes.lines if line.get_label() in named]  # type: ignore[index]
    low, high = axes.get_xlim()
    shortest = min(float(node.column("inference_s").min()) for node in bag.nodes)
    assert shortest / 2 < low
    assert high < 2 * PERIOD_S
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert 3 <= len(ticks) <= 9
    assert all(text.endswith(("µs", "ms")) for text in ticks)


def test_no_axis_of_a_report_has_empty_decades(tmp_path: Path, drawn: list[Figure]) -> None:
    """One tick that was 10 ps late would give lateness seven of them."""
    report = make_report([bag_of(tmp_path, outlier_s=1e-11)])
    drawings = draw_figures(report)
    assert [drawing.name for drawing in drawings] == ["course", "stages", "jitter", "agreement_1"]
    course, stages, jitter = drawn[:3]
    for axes in (*stages.axes, *jitter.axes):
        low, high = axes.get_xlim()
        points = np.concatenate([np.asarray(line.get_xdata(), float) for line in axes.lines])
        points = points[points > 0]
        assert high < 3 * points.max()
        assert (points < low).mean() < 0.05
        assert np.quantile(points, 0.05) < 10 * low
    assert min(axes.get_xlim()[0] for axes in stages.axes) > 1e-6
    lateness = stages.axes[0]
    assert lateness.get_title() == "lateness"
    for figure in (course, stages):
        assert "control period, 35.0\u202fms" in texts(figure)
    assert not [text for figure in drawn[:3] for text in texts(figure) if "e-" in text or "e+" in text or "_" in text]


def test_a_period_far_from_what_is_shown_does_not_empty_the_axis(tmp_path: Path, drawn: list[Figure]) -> None:
    """Of the stages some take microseconds; the period of 35 ms is drawn where it can be read."""
    draw_figures(make_report([bag_of(tmp_path)]))
    for axes in drawn[1].axes:
        found = [line for line in axes.lines if line.get_gid() == "period"]
        others = [np.asarray(line.get_xdata(), float) for line in axes.lines if line not in found]
        highest = max(float(points.max()) for points in others if len(points))
        assert bool(found) == (highest * 10 >= PERIOD_S)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_difference_of_every_action_is_drawn(tmp_path: Path, drawn: list[Figure], count: int) -> None:
    draw_figures(make_report([bag_of(tmp_path, actions=count)]))
    shown = " ".join(texts(drawn[3]))
    assert all(f"joint_{k}" in shown for k in range(count))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_fidelity_shows_every_action(tmp_path: Path, drawn: list[Figure], count: int) -> None:
    rng = np.random.default_rng(0)
    entries = [SimpleNamespace(name=f"joint_{k}", unit="rad") for k in range(count)]
    student: Any = SimpleNamespace(observation=entries, action=entries, act_dim=count, is_mixture=True)
    evidence: Any = SimpleNamespace(
        map_positions=rng.normal(size=(50, count)), map_entropy=rng.random(50), mode_entropy=rng.random(9),
        teacher=rng.normal(size=(9, 20, count)), student=rng.normal(size=(9, 20, count)),
    )  # fmt: skip
    estimate = SimpleNamespace(mean=0.1, interval=(0.05, 0.2))
    names = ("wasserstein", "energy", "mode_recall", "mode_precision")
    measures = {name: SimpleNamespace(student=estimate, floor=estimate) for name in names}
    report: Any = SimpleNamespace(teacher_calibration=None, demonstrations_calibration=None, measures=measures)
    fidelity_figure.save_figure(tmp_path / "f.png", report, evidence, student, "a against b")
    panels = [axes for axes in drawn[0].axes if axes.get_title().startswith("state ")]
    assert len(panels) == 6
    for axes in panels:
        shown = [axes.get_xlabel(), axes.get_ylabel(), *(text.get_text() for text in axes.get_xticklabels())]
        assert all(any(f"joint_{k}" in text for text in shown) for k in range(count))
        if count == 7:
            assert len(np.concatenate([line.get_ydata() for line in axes.lines])) == 2 * 20 * 7
    assert {text.get_text() for text in drawn[0].legends[0].get_texts()} == {"teacher", "student"}


def test_methods_of_a_benchmark_can_be_distinguished(tmp_path: Path, drawn: list[Figure]) -> None:
    """Each has a colour and marker of its own, and what is drawn over one another has colours that differ."""
    records = [record(method, entropy=0.5 + 0.02 * k) for k, method in enumerate(METHODS)]
    benchmark_figures.draw(group(records, "avoiding", "gpt"), tmp_path, "avoiding", "gpt", "Avoiding")
    scatter, times = drawn[:2]
    for figure in (scatter, times):
        (axes,) = figure.axes
        handles, labels = axes.get_legend_handles_labels()
        looks = []
        for handle in handles:
            line: Any = handle[0] if isinstance(handle, tuple) else handle
            looks.append((to_rgb(line.get_color()), line.get_marker()))
        assert len(set(looks)) == len(labels) > 7
        assert len({marker for _, marker in looks}) > 7
        colours = np.array(sorted({colour for colour, _ in looks}))
        apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)  # in sRGB
        assert apart[~np.eye(len(colours), dtype=bool)].min() > 0.25
    assert not [text for figure in drawn for text in texts(figure) if "$" in text or "e-0" in text]
    assert all(text.get_text().endswith(("µs", "ms")) for text in times.axes[0].get_yticklabels())


def test_the_race_writes_numbers_out(tmp_path: Path, drawn: list[Figure]) -> None:
    curve = {"seconds": [1.0, 10.0, 40.0], "distance": [1.0, 0.3, 0.05], "samples_per_s": 3.0}
    references = [{**curve, "learning_rate": rate} for rate in (1e-4, 4.472e-4, 2e-3)]
    speed._draw(tmp_path / "r.png", cast(SpeedRecord, {"product": curve, "references": references}))
    shown = texts(drawn[0])
    assert "straightforward, learning rate 0.0001" in shown
    assert not [text for text in shown if "e-0" in text or "$" in text]
    low, high = drawn[0].axes[0].get_ylim()
    assert low > 0.05 / 2
    assert high < 2 * 1.0


def test_known_and_new_do_not_differ_by_colour_alone(tmp_path: Path, drawn: list[Figure]) -> None:
    found = [
        Found(name, outside, distance, 10, 0.123456, 1.0, None, None)
        for name, outside, distance in (("own \x1b[31m", False, None), ("tcp displaced", True, 0.01))
    ]
    novelty_figure.save_figure(tmp_path / "n.png", found, [np.arange(10.0), 1e3 * np.arange(10.0)], 2.3711, "p.onnx")
    shown = texts(drawn[0])
    assert {"known", "never demonstrated", "bound, 2.37 nats"} <= set(shown)
    assert "own \\x1b[31m: 12.3 % outside" in shown
    assert "100" in shown and not [text for text in shown if "$" in text]
    known, new = (patch for patch in drawn[0].axes[0].patches[:2])
    assert new.get_facecolor()[:3] == (1.0, 1.0, 1.0) != known.get_facecolor()[:3]


def test_soak_and_training_say_units_and_what_lines_are(tmp_path: Path, drawn: list[Figure]) -> None:
    seconds, memory = np.arange(120.0), {f"node_{k}": np.full(120, 81.234567) for k in range(9)}
    soak_figure.save_figure(tmp_path / "s.png", 0.0, seconds, memory, [], 60.0)
    shown = texts(drawn[0])
    assert {"node_0, 81.2 MB", "allowed growth", "end of the warm-up", "time (min)"} <= set(shown)
    lines = [line for line in drawn[0].axes[0].lines if str(line.get_label()).startswith("node_")]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9
    curve = training_figure.Curve([0, 1, 2], [10.0, 0.1, math.nan])
    training_figure.save_figure(tmp_path / "t.png", {"loss_\x1b": curve}, "run")
    shown = texts(drawn[1])
    assert "loss \\x1b" in shown
    assert {"10", "1", "0.1"} <= set(shown)
