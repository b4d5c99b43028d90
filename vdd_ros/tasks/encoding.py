"""Videos as MP4 files, by PyAV (extra `video`)."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.files import replacing
from vdd_ros.tasks.raster import Image
from vdd_ros.text import printable

SUFFIX = ".mp4"
_CODECS = {"libx264": {"crf": "20", "preset": "fast"}, "mpeg4": {"qmin": "2", "qmax": "5"}}
"""Encoders with their options, the preferred one first."""


def check_video(option: str, file: Path) -> None:
    """Refuse early a video that could not be written.

    Raises:
        ConfigurationError: The file's name does not end in .mp4.
        ModuleNotFoundError: PyAV is not installed.
    """
    if file.suffix.lower() != SUFFIX:
        raise ConfigurationError(f"{option} {printable(file)} is to be a video; give a name that ends in {SUFFIX}")
    import av  # noqa: F401


def write_mp4(file: Path, frames: Iterable[Image], rate_hz: Fraction) -> None:
    """Write a video, whole or not at all: H.264 where PyAV has x264, otherwise MPEG-4 part 2; pixels in yuv420p.

    Args:
        file: The MP4 file.
        frames: Its images, at least one, all of the same size, whose width and height are even.
        rate_hz: Frames a second.

    Raises:
        OSError: The file cannot be written.
    """
    import av

    codec = next(name for name in _CODECS if name in av.codecs_available)
    with replacing(file) as aside, av.open(str(aside), "w", "mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=rate_hz, options=_CODECS[codec])
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(frames):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
