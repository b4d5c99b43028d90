"""Marked blocks of Markdown pages, which commands fill with their results."""

from pathlib import Path

from vdd_ros.errors import ConfigurationError
from vdd_ros.files import replacing, updating
from vdd_ros.text import printable


def check_block(page: Path, begin: str, end: str) -> None:
    """Raise ConfigurationError if a page cannot be read or lacks the marks."""
    _parts(page, begin, end)


def fill_block(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two marks of a page; raises ConfigurationError if it lacks them."""
    with updating(page), replacing(page) as aside:
        before, after = _parts(page, begin, end)
        aside.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _parts(page: Path, begin: str, end: str) -> tuple[str, str]:
    """Return the text before and after the marked block."""
    try:
        before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is not text in UTF-8 (byte {error.start})"
        raise ConfigurationError(
            f"--docs {printable(page)} cannot be read: {why}; name the page that has the marked block"
        ) from error
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ConfigurationError(
            f"--docs {printable(page)} lacks the lines '{begin}' and '{end}'; put them around the tables"
        )
    return before, after
