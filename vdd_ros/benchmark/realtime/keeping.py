"""How a node of the benchmark hands its measurements over."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vdd_ros.files import replacing


def keep(path: str, **arrays: NDArray[np.generic]) -> None:
    """Write arrays by name into an .npz file, whole or not at all."""
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    with replacing(Path(path)) as aside:
        aside.write_bytes(content.getvalue())
