"""Packages of others, as pip leaves them in a folder."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vdd_ros.registry import Registry


def install(folder: Path, name: str, group: str, points: dict[str, str], module: str) -> None:
    """Write a package with one module, `name`, and entry points of one group."""
    metadata = folder / f"{name}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    listed = "".join(f"{point} = {place}\n" for point, place in points.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{listed}")
    (folder / f"{name}.py").write_text(module)


@contextmanager
def installed(registry: Registry[Any], folder: Path, name: str, source: str, attribute: str) -> Iterator[None]:
    """Install a package `added_thing` that registers `name` while the block runs.

    Args:
        registry: Where it registers.
        folder: A folder that stands in for site-packages.
        name: Of what it registers.
        source: Of its one module.
        attribute: Of the module, which is registered.
    """
    folder.mkdir(parents=True, exist_ok=True)
    install(folder, "added_thing", registry.group, {name: f"added_thing:{attribute}"}, source)
    sys.path.insert(0, str(folder))
    registry.__dict__.pop("_others", None)
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("added_thing", None)
        registry.__dict__.pop("_others", None)
        registry._loaded.pop(name, None)
