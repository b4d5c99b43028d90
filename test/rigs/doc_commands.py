"""Commands of the fenced shell blocks of pages."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command of a page: its words without the shell's comments and variable assignments."""

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {shlex.join(self.words)}"


def commands(text: str, page: str) -> Iterator[Command]:
    """Yield the commands of the fenced shell blocks of a page, in order."""
    language: str | None = None
    parts: list[str] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if fence := re.match(r"```(\w*)", line):
            language = fence.group(1) if language is None else None
            continue
        if language not in ("bash", "sh", "console"):
            continue
        if language == "console" and not parts:
            if not line.startswith("$ "):
                continue
            line = line.removeprefix("$ ")
        parts.append(line.removesuffix("\\"))
        if line.endswith("\\"):
            continue
        for piece in " ".join(parts).split("&&"):
            words = shlex.split(piece, comments=True)
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words:
                yield Command(page, number, tuple(words))
        parts = []
