"""What figures show: the artists that are drawn, not their pixels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.avoiding.sim import CYLINDERS, GOAL_Y, ROD_RADIUS
from vdd_ros.tasks.base import Floats

pytest.importorskip("matplotlib")

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Circle

from vdd_ros.tasks.contact_sheet import _draw, save_contact_sheet, sheet_rows
from vdd_ros.tasks.palette import distances, palette
from vdd_ros.tasks.render import draw_frame, plot_trajectories, position_columns, save_trajectories
from vdd_ros.tasks.rollout import Rollouts

GOOD: Floats = np.array([[0.525, -0.28], [0.4, 0.0], [0.28, 0.36]])
BAD: Floats = np.array([[0.525, -0.28], [0.5, -0.13]])


@pytest.fixture
def ax() -> Axes:
    return Figure().add_subplot()


def lines(ax: Axes) -> LineCollection:
    (found,) = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    return found


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def test_the_cylinders_and_what_the_rod_must_not_cross_are_drawn_to_scale(ax: Axes) -> None:
    plot_trajectories(ax, "avoiding", [])
    circles = {
        (*np.asarray(circle.get_center()).tolist(), circle.get_radius())
        for circle in ax.patches
        if isinstance(circle, Circle)
    }
    for x, y, radius in CYLINDERS:
        assert {(x, y, radius), (x, y, radius + ROD_RADIUS)} <= circles
    assert ax.get_aspect() == 1.0
    assert [GOAL_Y, GOAL_Y] in [np.asarray(line.get_ydata()).tolist() for line in ax.lines]


def test_paths_without_numbers_are_lines_of_one_colour(ax: Axes) -> None:
    plot_trajectories(ax, "avoiding", [GOOD, GOOD + 0.01])
    assert [segment.tolist() for segment in lines(ax).get_segments()] == [GOOD.tolist(), (GOOD + 0.01).tolist()]
    assert legend(ax) == []


def test_each_piece_has_the_colour_of_the_expert_at_its_start(ax: Axes) -> None:
    plot_trajectories(ax, "avoiding", [GOOD, GOOD], [np.array([0, 3, 1]), np.array([3, 3, 3])])
    pieces, colours = lines(ax).get_segments(), np.asarray(lines(ax).get_colors())
    assert [piece.tolist() for piece in pieces] == 2 * [GOOD[:2].tolist(), GOOD[1:].tolist()]
    assert (colours[1] == colours[2]).all() and (colours[2] == colours[3]).all()
    assert (colours[0] != colours[1]).any()
    assert legend(ax) == ["expert 3: 75.0 %", "expert 0: 25.0 %"]


@pytest.mark.parametrize("count", [2, 10, 11, 16, 20, 21, 26, 32])
def test_all_experts_have_colours_of_their_own(ax: Axes, count: int) -> None:
    paths = [GOOD[:2]] * count
    plot_trajectories(ax, "avoiding", paths, [np.array([k, k]) for k in range(count)], label="mode")
    assert len(np.unique(np.asarray(lines(ax).get_colors()), axis=0)) == count
    names = [f"mode {k}: {100 / count:.1f} %" for k in range(count)] if count <= 26 else []
    assert legend(ax) == [*names, f"failed ({count})"]


def test_paths_that_end_short_of_the_goal_are_crossed(ax: Axes) -> None:
    plot_trajectories(ax, "avoiding", [GOOD, BAD, GOOD])
    (crosses,) = [artist for artist in ax.collections if isinstance(artist, PathCollection)]
    assert np.asarray(crosses.get_offsets()).tolist() == [BAD[-1].tolist()]
    assert legend(ax) == ["failed (1)"]


def test_paths_of_one_point_and_of_none_are_harmless(ax: Axes) -> None:
    plot_trajectories(ax, "avoiding", [GOOD[:1], GOOD[:0]], [np.array([1]), np.array([], dtype=np.int64)])
    assert legend(ax) == ["failed (1)"]


def test_numbers_that_do_not_fit_the_paths_are_refused(ax: Axes) -> None:
    with pytest.raises(TaskError, match="differ in length"):
        plot_trajectories(ax, "avoiding", [GOOD], [np.array([0, 1])])
    with pytest.raises(TaskError, match="differ in length"):
        plot_trajectories(ax, "avoiding", [GOOD, GOOD], [np.array([0, 1, 1])])


def test_a_task_without_a_picture_is_refused(ax: Axes, monkeypatch: pytest.MonkeyPatch) -> None:
    task = dataclasses.replace(get_task("avoiding"), scene=None)
    monkeypatch.setattr("vdd_ros.tasks.render.get_task", lambda _: task)
    with pytest.raises(TaskError, match="no picture of the task 'avoiding': its Task has no scene"):
        plot_trajectories(ax, "avoiding", [])


def test_the_path_of_avoiding_is_that_of_the_rod() -> None:
    assert position_columns(get_task("avoiding").spec) == (2, 3)


def test_a_png_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "figure.png"
    save_trajectories(file, "avoiding", [GOOD], title="one")
    assert imread(file).ndim == 3
    assert [path.name for path in file.parent.iterdir()] == ["figure.png"]


def test_a_failing_write_leaves_the_figure_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "figure.png"
    file.write_bytes(b"before")

    def fail(_: Figure, aside: Path, **__: object) -> None:
        aside.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        save_trajectories(file, "avoiding", [GOOD])
    assert file.read_bytes() == b"before"


def test_frames_of_the_same_path_are_alike() -> None:
    assert np.array_equal(draw_frame("avoiding", GOOD), draw_frame("avoiding", GOOD))
    assert not np.array_equal(draw_frame("avoiding", GOOD), draw_frame("avoiding", BAD))


def test_rare_experts_are_grey_and_named_together(ax: Axes) -> None:
    """Eleven experts, as a student has that uses few of its 24, and three of one piece in a thousand."""
    often, rare = np.repeat(np.arange(11), 91), np.array([20, 21, 22])
    numbers = np.concatenate([often, rare])
    spread = np.stack([0.25 + 0.05 * numbers, 0.0 * numbers], axis=1)
    paths = [np.stack([at, at + 0.001]) for at in spread]
    plot_trajectories(ax, "avoiding", paths, [np.array([k, k]) for k in numbers])
    colours = np.asarray(lines(ax).get_colors())[:, :3]
    assert legend(ax)[-2:] == ["3 others: 0.3 %", f"failed ({len(numbers)})"]
    assert [text.partition(":")[0] for text in legend(ax)[:11]] == [f"expert {k}" for k in range(11)]
    assert len(np.unique(colours[-3:], axis=0)) == 1
    apart = distances(colours[np.searchsorted(often, np.arange(11))])
    assert apart[~np.eye(11, dtype=bool)].min() > 0.15
    written = {text.get_text(): text.get_position() for text in ax.texts}
    for k in range(11):  # where its own lines are
        assert np.linalg.norm(np.array(written[str(k)]) - spread[numbers == k][0]) < 0.01
    assert "20" not in written


@pytest.mark.parametrize("count", [7, 11, 24])
def test_colours_can_be_distinguished(count: int) -> None:
    """In OKLab, where 0.02 is just noticeable; 24 of matplotlib's turbo come as near as 0.03."""
    least = {7: 0.15, 11: 0.15, 24: 0.09}[count]
    assert distances(palette(count))[~np.eye(count, dtype=bool)].min() > least


def test_the_distance_of_colours_is_that_of_oklab() -> None:
    """Published values of OKLab: white is (1, 0, 0); red is (0.628, 0.225, 0.126)."""
    found = distances(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert found[0, 1] == pytest.approx(1.0, abs=2e-3)
    assert found[1, 2] == pytest.approx(np.linalg.norm([0.628, 0.225, 0.126]), abs=2e-3)


def a_run(success: list[bool], modes: list[int]) -> Rollouts:
    """Return rollouts of Pushing of two steps each, number i along x = i / 100."""
    count = len(success)
    observations = np.zeros((count, 3, 10)) + np.arange(count)[:, None, None] / 100
    ends = np.where(success, "success", "time limit")
    lengths = np.full(count, 2, dtype=np.int64)
    return Rollouts(observations, np.zeros((count, 2, 2)), None, lengths, np.array(success), np.array(modes), ends,
                    np.zeros((count, 6)))  # fmt: skip


def test_a_sheet_shows_each_mode_and_failures() -> None:
    task = get_task("pushing")
    run = a_run([True] * 9 + [False, True, False], [1] * 8 + [3, 0, -1, -1])
    rows = sheet_rows(task, run)
    assert rows == {
        "mode -1: 1": [10],
        f"{task.mode_names[1]}: 8": [0, 1, 2, 3, 4, 5],
        f"{task.mode_names[3]}: 1": [8],
        "failures: 2": [9, 11],
    }


@pytest.mark.parametrize("success", [[True, False, True], [False], [True]])
def test_a_sheet_is_written_with_the_paths_of_all_objects(tmp_path: Path, success: list[bool]) -> None:
    save_contact_sheet(tmp_path / "sheet.png", get_task("pushing"), a_run(success, [0] * len(success)), title="x")
    assert min(imread(tmp_path / "sheet.png").shape[:2]) > 200
    ax = Figure().add_subplot()
    names = [entry.name for entry in get_task("pushing").spec.observation]
    _draw(ax, get_task("pushing").get_scene(), names, a_run([True], [0]).observations[0])
    assert len([line for line in ax.lines if len(np.asarray(line.get_xdata())) == 3]) == 3
