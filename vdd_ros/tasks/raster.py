"""Drawing into images in numpy, for pictures that change with every step."""

import numpy as np
from numpy.typing import NDArray

from vdd_ros.tasks.base import Floats

Image = NDArray[np.uint8]
"""(height, width, 3), red, green and blue; rows from the top."""

FARTHEST = 1e5
"""Largest coordinate in pixels that is told from others; farther ones are drawn there, out of sight."""


def draw_stroke(image: Image, start: Floats, end: Floats, radius: float, colour: Floats) -> None:
    """Blend a straight line with round ends into an image; parts beyond its edges are cut off.

    Args:
        image: The image, changed in place.
        start: (2,) its start, x from the left and y from the top in pixels; the centre of the first pixel is at 0.5.
            Coordinates that are not a number draw nothing.
        end: (2,) its end; the same as the start: a disc.
        radius: Half the width of the line, pixels.
        colour: (3,) in [0, 255].
    """
    ends = np.array([start, end]).clip(-FARTHEST, FARTHEST)
    if np.isnan(ends).any():
        return
    reach, size = radius + 1, (image.shape[1], image.shape[0])
    left, top = np.floor(ends.min(axis=0) - reach).clip(0, size).astype(int).tolist()
    right, bottom = np.ceil(ends.max(axis=0) + reach).clip(0, size).astype(int).tolist()
    if left >= right or top >= bottom:
        return
    x, y = np.arange(left, right) + 0.5 - ends[0, 0], (np.arange(top, bottom) + 0.5 - ends[0, 1])[:, None]
    along_x, along_y = (ends[1] - ends[0]).tolist()
    square = max(along_x * along_x + along_y * along_y, 1e-12)
    nearest = ((x * along_x + y * along_y) / square).clip(0, 1)  # of the points of the line, from its start
    distance = np.hypot(x - nearest * along_x, y - nearest * along_y)
    cover = (radius + 0.5 - distance).clip(0, 1)[..., None]
    part = image[top:bottom, left:right]
    part[:] = np.rint(part + cover * (colour - part))


def draw_border(image: Image, width: int, colour: Floats) -> None:
    """Draw a frame of some pixels along the edges of an image, in place; the colour, (3,), is in [0, 255]."""
    for edge in (image[:width], image[-width:], image[:, :width], image[:, -width:]):
        edge[:] = np.rint(colour)
