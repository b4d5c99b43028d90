"""Videos of rollouts: what is decoded from the file is what happened, where and when it happened."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.encoding import write_mp4
from vdd_ros.tasks.raster import Image, draw_border, draw_stroke
from vdd_ros.tasks.rollout import Rollouts

pytest.importorskip("matplotlib")
pytest.importorskip("av")

import av
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from vdd_ros.tasks import video
from vdd_ros.tasks.contact_sheet import PATH
from vdd_ros.tasks.scene import Scene
from vdd_ros.tasks.video import COLUMNS, FAILED, SUCCEEDED, Clip, Grid, save_clips, save_video

TASK = get_task("pushing")
NAMES = [entry.name for entry in TASK.spec.observation]
STEPS = 7
BLACK = np.zeros(3)
WHITE = np.full(3, 255.0)


def a_run(success: list[bool], modes: list[int], lengths: list[int]) -> Rollouts:
    """Return rollouts of Pushing: the rod rises at x = 0.4 m, the red cube moves right at y = 0, green rests."""
    observations = np.zeros((len(success), STEPS + 1, len(NAMES)))
    observations[..., NAMES.index("tcp_x")] = 0.4
    observations[..., NAMES.index("tcp_y")] = np.linspace(-0.25, -0.15, STEPS + 1)
    observations[..., NAMES.index("red_x")] = np.linspace(0.5, 0.7, STEPS + 1)
    observations[..., NAMES.index("green_x")] = 0.35
    observations[..., NAMES.index("green_y")] = 0.05
    ends = np.where(success, "success", "time limit")
    actions, contexts = np.zeros((len(success), STEPS, 2)), np.zeros((len(success), 6))
    return Rollouts(observations, actions, None, np.array(lengths), np.array(success), np.array(modes), ends, contexts)


def decoded(file: Path) -> tuple[Any, list[Image]]:
    """Return the description of a file's video, and its images."""
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        facts = {
            "codec": stream.codec_context.name,
            "pixels": stream.codec_context.pix_fmt,
            "rate": stream.average_rate,
            "size": (stream.width, stream.height),
        }
    return facts, images


def grid_of(*titles: str) -> Grid:
    return Grid(titles, np.array([(0.28, 0.77), (-0.32, 0.42)]))


def colour_at(image: Image, grid: Grid, cell: tuple[int, int], position: tuple[float, float]) -> Floats:
    x, y = np.floor(grid.pixels(np.array(position))).astype(int)
    return grid.view(image, *cell)[y, x].astype(float)


def is_alike(found: Floats, colour: str) -> bool:
    """Return whether a decoded colour is one that was drawn: H.264 keeps colours of small things roughly."""
    return bool(np.abs(found - np.array(to_rgb(colour)) * 255).max() < 60)


def test_the_decoded_video_shows_each_thing_where_it_was_at_each_step(tmp_path: Path) -> None:
    run = a_run([True, True, False], [1, 1, -1], [STEPS, 3, STEPS])
    save_video(tmp_path / "new" / "run.mp4", TASK, run, title="three rollouts")
    facts, images = decoded(tmp_path / "new" / "run.mp4")
    rate = Fraction(TASK.spec.rate_hz).limit_denominator(1000)
    grid = grid_of("a mode", "failures")
    assert facts == {"codec": "h264", "pixels": "yuv420p", "rate": rate, "size": grid.size}
    assert len(images) == STEPS + 1 + round(float(rate)), "the end stands for a second"
    assert all(image.shape == (grid.size[1], grid.size[0], 3) for image in images)
    red = TASK.get_scene().objects[0].colour
    for step in (0, 2, STEPS):
        seen = run.observations[0, step]
        rod, cube = (tuple(seen[[NAMES.index(f"{name}_{axis}") for axis in "xy"]]) for name in ("tcp", "red"))
        for cell in ((0, 0), (1, 0)):
            assert is_alike(colour_at(images[step], grid, cell, rod), PATH)
            assert is_alike(colour_at(images[step], grid, cell, cube), red)
    ahead = tuple(run.observations[0, STEPS, [NAMES.index("red_x"), NAMES.index("red_y")]])
    assert is_alike(colour_at(images[0], grid, (0, 0), ahead), "white")
    assert is_alike(colour_at(images[-1], grid, (0, 0), (0.52, 0.0)), red), "its path stays"


def test_an_episode_that_has_ended_stays_and_gets_a_border(tmp_path: Path) -> None:
    save_video(tmp_path / "run.mp4", TASK, a_run([True, True, False], [1, 1, -1], [STEPS, 3, STEPS]))
    _, images = decoded(tmp_path / "run.mp4")
    grid = grid_of("a mode", "failures")
    ended = float(np.linspace(0.5, 0.7, STEPS + 1)[3])
    assert is_alike(colour_at(images[-1], grid, (0, 1), (ended, 0.0)), TASK.get_scene().objects[0].colour)

    def border(step: int, cell: tuple[int, int]) -> Floats:
        return np.asarray(grid.view(images[step], *cell)[50:150, 0].mean(axis=0), dtype=float)

    assert is_alike(border(3, (0, 1)), SUCCEEDED)
    assert not is_alike(border(2, (0, 1)), SUCCEEDED)
    assert not is_alike(border(3, (0, 0)), SUCCEEDED)
    assert is_alike(border(-1, (0, 0)), SUCCEEDED)
    assert is_alike(border(-1, (1, 0)), FAILED)


@pytest.mark.parametrize(
    ("rate_hz", "speed", "frames_hz", "steps"),
    [(10.0, 1.0, 10, 21), (10.0, 3.0, 30, 21), (50.0, 2.0, 50, 11), (200.0, 1.0, 50, 6), (20.0, 0.5, 10, 21)],
)
def test_a_video_has_at_most_60_frames_a_second_of_the_given_speed(
    tmp_path: Path, rate_hz: float, speed: float, frames_hz: int, steps: int
) -> None:
    clip = Clip(np.tile(np.linspace(0.3, 0.6, 21)[:, None], (1, 2))[None], success=True)
    scene = Scene(("x", "y"), TASK.get_scene().draw)
    save_clips(tmp_path / "run.mp4", scene, {"all": [clip]}, rate_hz=rate_hz, speed=speed)
    facts, images = decoded(tmp_path / "run.mp4")
    assert (facts["rate"], len(images)) == (frames_hz, steps + frames_hz)


def test_from_four_modes_on_rows_stand_side_by_side_without_overlap() -> None:
    for count in (1, 3, 4, 9):
        grid = grid_of(*map(str, range(count)))
        taken = np.zeros(grid.size[::-1], dtype=int)
        for row in range(count):
            for column in range(COLUMNS):
                view = taken[grid.corner(row, column)[1] :, grid.corner(row, column)[0] :]
                view[: grid.cell[1], : grid.cell[0]] += 1
        assert taken.max() == 1
        assert taken.sum() == count * COLUMNS * grid.cell[0] * grid.cell[1], "no cell is cut off"
        assert grid.size[0] % 2 == grid.size[1] % 2 == 0
    assert grid_of(*"123").size[0] < grid_of(*"1234").size[0]


def test_the_picture_of_the_task_is_to_scale() -> None:
    """What the scene draws and what moves have the same places, to a pixel."""

    def draw(ax: Axes) -> None:
        ax.add_patch(Rectangle((0.45, 0.0), 0.1, 0.2, facecolor="black", linewidth=0))
        ax.set(xlim=(0.28, 0.77), ylim=(-0.32, 0.42))

    grid = grid_of("all")
    dark = video._cell(Scene(("x", "y"), draw), grid)[..., 0] < 128
    (left, bottom), (right, top) = grid.pixels(np.array([(0.45, 0.0), (0.55, 0.2)]))
    assert np.flatnonzero(dark.any(axis=0))[[0, -1]] == pytest.approx([left, right - 1], abs=1)
    assert np.flatnonzero(dark.any(axis=1))[[0, -1]] == pytest.approx([top, bottom - 1], abs=1)


def test_without_x264_the_video_is_mpeg_4_part_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    save_video(tmp_path / "run.mp4", TASK, a_run([True], [0], [STEPS]))
    facts, images = decoded(tmp_path / "run.mp4")
    assert (facts["codec"], facts["pixels"]) == ("mpeg4", "yuv420p")
    assert len(images) > STEPS


def test_a_video_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Image]:
        yield np.zeros((64, 64, 3), dtype=np.uint8)
        raise TaskError("the scene fails")

    file = tmp_path / "run.mp4"
    file.write_bytes(b"before")
    with pytest.raises(TaskError, match="the scene fails"):
        write_mp4(file, broken(), Fraction(10))
    assert file.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["run.mp4"]


def blank(width: int = 20, height: int = 10) -> Image:
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_a_disc_covers_its_pixels_and_half_of_those_on_its_edge() -> None:
    image = blank()
    centre = np.array([8.5, 4.5])
    draw_stroke(image, centre, centre, 2.0, WHITE)
    assert image[4, 5:12, 0].tolist() == [0, 128, 255, 255, 255, 128, 0]
    assert image[1:8, 8, 0].tolist() == [0, 128, 255, 255, 255, 128, 0]
    assert image[..., 0].sum() / 255 == pytest.approx(np.pi * 4, rel=0.1)


def test_a_line_covers_what_is_near_it() -> None:
    image = blank()
    draw_stroke(image, np.array([3.5, 5.0]), np.array([12.5, 5.0]), 1.0, WHITE)
    assert image[3:7, 7, 0].tolist() == [0, 255, 255, 0]
    assert image[4, [1, 3, 12, 15], 0].tolist() == [0, 255, 255, 0]


@pytest.mark.parametrize("end", [(np.nan, 1.0), (-50.0, -50.0), (1e300, 4.0), (-np.inf, 4.0)])
def test_what_is_out_of_sight_is_cut_off(end: tuple[float, float]) -> None:
    image = blank()
    draw_stroke(image, np.array([-20.0, -20.0]), np.array(end), 1.0, WHITE)
    assert image.sum() == 0 or not np.isnan(end[0])
    draw_stroke(image, np.array([19.5, 9.5]), np.array([19.5, 9.5]), 3.0, WHITE)
    assert image[-1, -1].tolist() == [255, 255, 255]


def test_a_border_is_drawn_inside_an_image() -> None:
    image = blank()
    draw_border(image[2:8, 2:18], 1, WHITE)
    assert image[..., 0].sum() / 255 == 2 * 16 + 2 * 4
    assert image[3, 3].tolist() == BLACK.tolist()
