"""A video of rollouts: a few successes of each mode and a few failures, side by side, as they happened."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import IdentityTransform

from vdd_ros.progress import each
from vdd_ros.tasks.base import Floats
from vdd_ros.tasks.contact_sheet import PATH, sheet_rows
from vdd_ros.tasks.encoding import write_mp4
from vdd_ros.tasks.raster import Image, draw_border, draw_stroke
from vdd_ros.tasks.rollout import Rollouts
from vdd_ros.tasks.scene import INK, Scene
from vdd_ros.tasks.task import Task

COLUMNS = 4
"""Episodes of a mode."""
WIDEST, HIGHEST = 160, 200
"""Largest size of a cell in pixels; the scene fills one of them."""
MOST_HZ = 60.0
"""Largest number of frames a second; at a higher rate, steps between frames are only drawn as paths."""
HOLD_S = 1.0
"""Time for which the end is shown, in seconds of the video."""
SUCCEEDED, FAILED = "#009e73", "#d55e00"
"""Border of an episode that has ended."""
TRACK, DISC, BORDER = 0.8, 4.0, 2
"""Half the width of paths, radius of what moves, width of borders, pixels."""
_GAP, _LABEL, _TITLE, _NARROWEST = 6, 18, 26, 480
_DPI = 100


@dataclass(frozen=True)
class Clip:
    """An episode of a video.

    Attributes:
        tracks: (k, T + 1, 2) positions of the robot and of each object of the scene at each step, in its units.
        success: Whether it ended by success.
    """

    tracks: Floats
    success: bool


@dataclass(frozen=True)
class Grid:
    """The places of cells in the frames: a row for each mode; from four rows on, two of them side by side.

    Attributes:
        titles: Titles of the rows.
        limits: (2, 2) limits of the scene: those of x, and those of y.
    """

    titles: tuple[str, ...]
    limits: Floats

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of a cell, pixels."""
        extent = self.limits[:, 1] - self.limits[:, 0]
        width, height = np.rint(extent * min(WIDEST / extent[0], HIGHEST / extent[1])).astype(int).tolist()
        return width, height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a frame, pixels: even numbers."""
        right = max(self.corner(row, COLUMNS - 1)[0] for row in range(len(self.titles)))
        bottom = max(self.corner(row, 0)[1] for row in range(len(self.titles)))
        width, height = max(right + self.cell[0] + _GAP, _NARROWEST), bottom + self.cell[1] + _GAP
        return width + width % 2, height + height % 2

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """Return the left upper corner of a cell, x and y in pixels."""
        beside = 2 if len(self.titles) >= 4 else 1
        width, height = self.cell
        across = column + COLUMNS * (row % beside)
        return _GAP + across * (width + _GAP), _TITLE + (row // beside) * (height + _GAP + _LABEL) + _LABEL

    def view(self, image: Image, row: int, column: int) -> Image:
        """Return the part of a frame that a cell is."""
        (left, top), (width, height) = self.corner(row, column), self.cell
        return image[top : top + height, left : left + width]

    def pixels(self, positions: Floats) -> Floats:
        """Return the place in a cell of positions (..., 2) of the scene: x from the left, y from the top in pixels."""
        low, high = self.limits.T
        share = (positions - low) / (high - low)
        return np.stack([share[..., 0], 1 - share[..., 1]], axis=-1) * self.cell


def save_video(file: Path, task: Task, run: Rollouts, *, speed: float = 1.0, title: str = "") -> None:
    """Write an MP4 with a row for each mode and one for failures, whole or not at all.

    All episodes start together. Each cell shows the path so far over the task and, if the scene names objects, theirs;
    a border shows how the episode ended.

    Args:
        file: The MP4.
        task: The task.
        run: Its rollouts.
        speed: Simulated seconds a second.
        title: Title of the video.

    Raises:
        TaskError: There is no picture of the task.
        ModuleNotFoundError: PyAV is not installed.
    """
    scene = task.get_scene()
    title = title if speed == 1 else f"{title}, {speed:g} times as fast"
    names = [entry.name for entry in task.spec.observation]
    columns = [[names.index(entry) for entry in pair] for pair in _positions(scene)]  # (k, 2)
    rows = {
        text: [
            Clip(run.observations[one, : run.lengths[one] + 1][:, columns].swapaxes(0, 1), bool(run.success[one]))
            for one in episodes[:COLUMNS]
        ]
        for text, episodes in sheet_rows(task, run).items()
    }
    save_clips(file, scene, rows, rate_hz=task.spec.rate_hz, speed=speed, title=title)


def save_clips(
    file: Path, scene: Scene, rows: dict[str, list[Clip]], *, rate_hz: float, speed: float = 1.0, title: str = ""
) -> None:
    """Write a video of episodes, at least one, in rows by their titles; the other arguments are as in `save_video`."""
    stride = max(1, math.ceil(rate_hz * speed / MOST_HZ - 1e-9))
    frames_hz = Fraction(rate_hz * speed / stride).limit_denominator(1000)
    last = max(clip.tracks.shape[1] for clips in rows.values() for clip in clips) - 1
    steps = sorted({*range(0, last, stride), last})
    shown = steps + [last] * round(HOLD_S * float(frames_hz))
    grid = Grid(tuple(rows), _limits(scene))
    frames = _frames(scene, grid, rows, each(shown, len(shown), "video", "frame"), rate_hz, title)
    write_mp4(file, frames, frames_hz)


def _positions(scene: Scene) -> list[tuple[str, str]]:
    return [scene.position, *(thing.position for thing in scene.objects)]


def _limits(scene: Scene) -> Floats:
    ax = Figure().add_subplot()
    scene.draw(ax)
    return np.array([ax.get_xlim(), ax.get_ylim()])


def _frames(
    scene: Scene, grid: Grid, rows: dict[str, list[Clip]], steps: Iterator[int], rate_hz: float, title: str
) -> Iterator[Image]:
    """Yield the frame of each step; steps rise."""
    board = _background(scene, grid, rows, title)
    colours = [np.array(to_rgb(one)) * 255 for one in (PATH, *(thing.colour for thing in scene.objects))]
    cells = [
        (row, column, clip, grid.pixels(clip.tracks))
        for row, clips in enumerate(rows.values())
        for column, clip in enumerate(clips)
    ]
    clock = _Clock()
    before = 0
    for step in steps:
        for row, column, clip, tracks in cells:
            view, end = grid.view(board, row, column), tracks.shape[1] - 1
            for colour, track in zip(colours, tracks, strict=True):
                for one in range(min(before, end), min(step, end)):
                    draw_stroke(view, track[one], track[one + 1], TRACK, colour)
            if before <= end <= step:
                draw_border(view, BORDER, np.array(to_rgb(SUCCEEDED if clip.success else FAILED)) * 255)
        frame = board.copy()
        for row, column, _, tracks in cells:
            view = grid.view(frame, row, column)
            for colour, track in zip(colours, tracks, strict=True):
                at = track[min(step, len(track) - 1)]
                draw_stroke(view, at, at, DISC, colour)
        clock.show(frame, step / rate_hz)
        before = step
        yield frame


def _background(scene: Scene, grid: Grid, rows: dict[str, list[Clip]], title: str) -> Image:
    """Return what does not move: the task in each cell, and the titles."""
    width, height = grid.size
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    at: dict[str, Any] = {"transform": IdentityTransform(), "color": INK, "va": "center"}
    figure.text(_GAP, height - _TITLE / 2, title, fontsize=9, **at)
    for row, text in enumerate(grid.titles):
        left, top = grid.corner(row, 0)
        figure.text(left, height - top + _LABEL / 2, text, fontsize=8, **at)
    image, cell = _image(figure), _cell(scene, grid)
    for row, clips in enumerate(rows.values()):
        for column in range(len(clips)):
            grid.view(image, row, column)[:] = cell
    return image


def _cell(scene: Scene, grid: Grid) -> Image:
    """Return the picture of the task, without its texts."""
    width, height = grid.cell
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    scene.draw(ax)
    for text in ax.texts:
        text.set_visible(False)
    ax.set_axis_off()
    image = _image(figure)
    draw_border(image, 1, np.full(3, 220.0))
    return image


def _image(figure: Figure) -> Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


class _Clock:
    """The time of the episodes in the right upper corner of frames."""

    def __init__(self) -> None:
        self._glyphs = {character: self._glyph(character) for character in "0123456789. s"}

    @staticmethod
    def _glyph(character: str) -> Image:
        figure = Figure(figsize=(0.08, 0.16), dpi=_DPI)
        figure.text(0.5, 0.5, character, family="monospace", fontsize=9, color=INK, ha="center", va="center")
        return _image(figure)

    def show(self, frame: Image, seconds: float) -> None:
        text = np.concatenate([self._glyphs[character] for character in f"{seconds:.1f} s"], axis=1)
        height, width = text.shape[:2]
        top = (_TITLE - height) // 2
        frame[top : top + height, -_GAP - width : -_GAP] = text
