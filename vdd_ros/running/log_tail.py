"""Shows the logs of nodes line by line on the console."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

_LINE = re.compile(r"\[(?P<level>[A-Z]+)\] \[[\d.]+\] \[(?P<node>[^\]]*)\]: (?P<text>.*)")
_LEVELS = {"WARN": "warning: ", "ERROR": "error: ", "FATAL": "error: "}
_MOST_BYTES = 1 << 20


class LogTail:
    """Reads the new log lines of nodes.

    They write into files, not pipes: a blocked console must not delay a node that commands a robot.

    Args:
        logs: Folder of the logs, one `NAME.log` for each node.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._read: dict[str, int] = {}
        self._begun: dict[str, str] = {}

    def lines(self, names: Iterable[str], *, last: bool = False) -> list[str]:
        """Return the new lines of the nodes, with time and node; `last` includes an unfinished line."""
        found = []
        for name in names:
            *whole, rest = (self._begun.get(name, "") + self._new(name)).split("\n")
            self._begun[name] = "" if last else rest
            found += [_shown(name, line) for line in (*whole, rest if last else "") if line.strip()]
        return found

    def _new(self, name: str) -> str:
        try:
            with (self._logs / f"{name}.log").open("rb") as log:
                log.seek(self._read.get(name, 0))
                data = log.read(_MOST_BYTES)
        except FileNotFoundError:
            return ""
        self._read[name] = self._read.get(name, 0) + len(data)
        return data.decode(errors="replace")


def _shown(name: str, line: str) -> str:
    """Return a log line in the form of the console: the time of day, the node, the text."""
    text = line
    if found := _LINE.fullmatch(line):
        text = _LEVELS.get(found["level"], "") + found["text"]
    return f"{time.strftime('%H:%M:%S')} {name}: {text}"
