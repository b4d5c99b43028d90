"""The picture of a task: its drawing function and the entries of the path."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vdd_ros.tasks.base import Bools, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#23262c"
"""Colour of text and marks."""


@dataclass(frozen=True)
class SceneObject:
    """An object that episodes move.

    Attributes:
        position: The two observation entries of its place.
        colour: Its colour.
    """

    position: tuple[str, str]
    colour: str


@dataclass(frozen=True)
class Scene:
    """The picture of a task, mostly from above.

    Attributes:
        position: The two observation entries that are drawn as the path.
        draw: Draws obstacles, start and goal, and sets the limits of the axes.
        reached: (N, 2) last positions -> (N,) whether the goal was reached there; None where these do not tell.
        objects: Objects whose paths contact sheets show.
    """

    position: tuple[str, str]
    draw: "Callable[[Axes], None]"
    reached: Callable[[Floats], Bools] | None = None
    objects: tuple[SceneObject, ...] = ()
