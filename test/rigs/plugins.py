"""Packages of others, as pip leaves them in a folder."""

from pathlib import Path


def install(folder: Path, name: str, group: str, points: dict[str, str], module: str) -> None:
    """Write a package with one module, `name`, and entry points of one group."""
    metadata = folder / f"{name}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    listed = "".join(f"{point} = {place}\n" for point, place in points.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{listed}")
    (folder / f"{name}.py").write_text(module)
