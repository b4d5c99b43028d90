"""Words in messages: counts with plurals, and escaped foreign text (from files, bags, the ROS graph or the network)."""

import unicodedata

LONGEST = 200
"""Characters of foreign text that an error, a log line or a table shows by default."""


def printable(value: object, longest: int = LONGEST) -> str:
    r"""Return foreign text as one line that is safe to show in a terminal, a log or a page.

    Control and format characters (escape sequences, line breaks, marks that reorder text) appear as Python's escapes,
    such as `\x1b`; lone surrogates likewise. Text longer than `longest` characters is clipped, with its length.

    Args:
        value: The text, or any object, shown by `str`.
        longest: Number of characters to keep, at least 1.
    """
    text = value if isinstance(value, str) else str(value)
    shown = "".join(map(_escaped, text[:longest]))
    return shown if len(text) <= longest else f"{shown}… ({len(text):,} characters)"


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as `1 core` or `2,000 cores`; the plural of `noun` must be regular."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _escaped(character: str) -> str:
    """Return a character, or its escape if its Unicode category is control, format, surrogate or separator."""
    if character == " " or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
