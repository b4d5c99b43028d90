"""Objects that act when they are unpickled, so that a test can see that they were not."""

from pathlib import Path
from typing import Any


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.place), "w")
