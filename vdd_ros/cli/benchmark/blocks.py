"""Marked blocks of Markdown pages, which commands fill with what they measured."""

from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.files import replacing, updating


def fill_block(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two marks of a page; raises ConfigurationError where it lacks them."""
    with updating(page), replacing(page) as aside:
        before, found, rest = page.read_text(encoding="utf-8").partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ConfigurationError(f"--docs {page} lacks the lines '{begin}' and '{end}'; put them around the tables")
        aside.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
