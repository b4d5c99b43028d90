"""Streams the messages of whole rosbag2 databases in the order of receipt."""

import heapq
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vdd_ros.bags.contents import LAST_STAMP_NS, Channel, StoredMessage
from vdd_ros.bags.sqlite_scan import SQLITE_ERRORS, channels_of, check_tables, claimed_size
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

_BATCH = 1000

_log_ns = attrgetter("log_ns")


class SqliteStream:
    """The messages of some whole databases; see `vdd_ros.bags.raw_messages.RawBag`.

    Args:
        paths: Paths of the files. They must not be written to, and must not have a journal.

    Raises:
        RecordingError: One is truncated, is not a rosbag2 database, or cannot be read.
    """

    def __init__(self, paths: Collection[Path]) -> None:
        self._paths = list(paths)
        self._databases: list[sqlite3.Connection] = []
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._places: list[tuple[int, int]] = []
        self.channels: list[Channel] = []
        self._counts: list[int] = []
        for file, path in enumerate(self._paths):
            if claimed_size(path) > path.stat().st_size:
                raise RecordingError(f"{path.name} is cut off")
            database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
            self._databases.append(database)
            database.text_factory = lambda text: text.decode("utf-8", "replace")
            check_tables(database, path)
            rows = self._rows(path, database, "SELECT topic_id, count(*) FROM messages GROUP BY topic_id")
            counts = dict(rows)
            for key, channel in channels_of(database, path).items():
                self._places.append((file, key))
                self.channels.append(channel)
                self._counts.append(int(counts.pop(key, 0)))
            if counts:
                raise RecordingError(f"{path.name} has messages of unknown topics")

    def close(self) -> None:
        """Close the databases."""
        for database in self._databases:
            with suppress(sqlite3.Error):
                database.close()

    def counts(self) -> list[int]:
        """Return the number of messages of each channel."""
        return self._counts

    def batches(self, places: Collection[int]) -> Iterator[list[StoredMessage]]:
        """Yield the messages of some channels in the order of receipt, in lists.

        Raises:
            RecordingError: A database is damaged, or a row is not a message.
        """
        wanted: list[dict[int, Channel]] = [{} for _ in self._paths]
        for place in places:
            file, key = self._places[place]
            wanted[file][key] = self.channels[place]
        files = [file for file, channels in enumerate(wanted) if channels]
        parts = [self._messages(file, wanted[file]) for file in self._in_turn(files)]
        messages: Iterator[StoredMessage] = chain.from_iterable(parts)
        if self._overlap(files):
            messages = heapq.merge(*parts, key=_log_ns)
        while batch := list(islice(messages, _BATCH)):
            yield batch

    def _messages(self, file: int, wanted: dict[int, Channel]) -> Iterator[StoredMessage]:
        keys = ", ".join(map(str, wanted))
        query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({keys}) ORDER BY timestamp, id"
        for key, stamp_ns, content in self._rows(self._paths[file], self._databases[file], query):
            if type(content) is not bytes or type(stamp_ns) is not int or not 0 <= stamp_ns <= LAST_STAMP_NS:
                raise RecordingError(f"{self._paths[file].name} has a row that is not a message")
            yield StoredMessage(wanted[key], stamp_ns, stamp_ns, content)

    def _rows(self, path: Path, database: sqlite3.Connection, query: str) -> Iterator[Any]:
        try:
            yield from database.execute(query)
        except SQLITE_ERRORS as error:
            raise RecordingError(f"the database {path.name} is damaged: {printable(error)}") from error

    def _span(self, file: int) -> tuple[int, int]:
        """Return the times of the first and the last message of a file."""
        query = "SELECT min(timestamp), max(timestamp) FROM messages"
        ((first, last),) = self._rows(self._paths[file], self._databases[file], query)
        return first or 0, last or 0

    def _in_turn(self, files: Iterable[int]) -> list[int]:
        return sorted(files, key=self._span)

    def _overlap(self, files: Iterable[int]) -> bool:
        spans = sorted(map(self._span, files))
        return any(before[1] > after[0] for before, after in pairwise(spans))
