"""Decodes image files of a data set: PNG and JPEG to arrays of one size."""

import io
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vdd_ros.data.formats.source import needing
from vdd_ros.errors import DemonstrationError
from vdd_ros.text import printable

_KINDS = ("PNG", "JPEG")


def decode_images(
    encoded: Sequence[object], shape: tuple[int, int, int], where: str, first: int = 0
) -> NDArray[np.uint8]:
    """Decode images of one size.

    Args:
        encoded: Contents of PNG or JPEG files.
        shape: Height, width and 3 (RGB); checked before an image is decoded.
        where: Owner of the images, the beginning of a sentence.
        first: Number of the first image, for errors.

    Returns:
        (M, height, width, 3).

    Raises:
        DemonstrationError: Pillow is missing, or an image is missing, damaged or of another size.
    """
    with needing("PIL", f"{where}: its image"):
        from PIL import Image
    found = np.empty((len(encoded), *shape), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # sizes are checked here
        for number, content in enumerate(encoded):
            found[number] = _decoded(content, shape, f"{where}: image {first + number:,}")
    return found


def _decoded(content: object, shape: tuple[int, int, int], what: str) -> NDArray[np.uint8]:
    from PIL import Image

    if not isinstance(content, bytes):
        raise DemonstrationError(f"{what} is not in the file, only its path; write the data set with its images inside")
    try:
        with Image.open(io.BytesIO(content), formats=_KINDS) as image:
            if (image.height, image.width, 3) != shape:
                raise ValueError(f"it has {image.height} x {image.width} pixels, not {shape[0]} x {shape[1]}")
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises nearly anything for damaged files
        raise DemonstrationError(
            f"{what} cannot be read ({printable(error)}); copy the data set again, or leave the images out"
        ) from error


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return an RGB image, (height, width, 3), as the content of a PNG file."""
    with needing("PIL", "an image"):
        from PIL import Image
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return content.getvalue()
