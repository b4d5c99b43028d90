"""Reads a rosbag2 database (.db3) row by row, as far as it is intact."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vdd_ros.bags.contents import LAST_STAMP_NS, BagContents, Channel, Places
from vdd_ros.errors import RecordingError
from vdd_ros.text import printable

MAGIC = b"SQLite format 3\x00"
SIDECARS = ("-wal", "-journal")
"""Journals that a killed recorder leaves beside its database: pending rows, or rows to roll back."""
SQLITE_ERRORS = (sqlite3.Error, UnicodeError)
"""Exceptions of `sqlite3` for a damaged database; UnicodeError if its message contains damaged text."""
_LARGEST = 1 << 40
_TABLES = ("topics", "messages", "message_definitions")

MALFORMED = "rows of a truncated or damaged database"


def is_sqlite(path: Path) -> bool:
    """Return whether a file starts with the magic of SQLite."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def scan_sqlite(contents: BagContents, path: Path) -> None:
    """Add the messages of a database to `contents`; they are copied into its spool.

    The database itself is only read: if it has a journal or is truncated, a temporary copy is opened.

    Raises:
        RecordingError: It is not a rosbag2 database, or its topics cannot be read.
    """
    beside = [file for end in SIDECARS if (file := path.with_name(path.name + end)).is_file()]
    with tempfile.TemporaryDirectory(dir=contents.folder) as folder:
        target, options = path, "?mode=ro&immutable=1"
        claimed = claimed_size(path)
        if claimed > path.stat().st_size or any(file.stat().st_size for file in beside):
            target, options = Path(folder) / path.name, ""
            for file in (path, *beside):
                shutil.copyfile(file, Path(folder) / file.name)
            if claimed > target.stat().st_size:  # zeros in place of the missing end; otherwise nothing can be read
                os.truncate(target, claimed)
        try:
            database = sqlite3.connect(f"file:{quote(str(target.absolute()))}{options}", uri=True)
        except SQLITE_ERRORS as error:
            raise RecordingError(f"{path} cannot be opened as a database: {printable(error)}") from error
        try:
            database.text_factory = lambda text: text.decode("utf-8", "replace")
            check_tables(database, path)
            channels = channels_of(database, path)
            unwanted = {number for number, channel in channels.items() if not contents.wanted(channel.topic)}
            contents.add(contents.open(path), channels, _places(database, contents, unwanted))
        finally:
            database.close()


def claimed_size(path: Path) -> int:
    """Return a database's size in bytes by its header: page size (1 means 65536) times number of pages."""
    with path.open("rb") as file:
        head = file.read(32)
    page = int.from_bytes(head[16:18], "big")
    size = (1 << 16 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    return size if size <= _LARGEST else 0


def check_tables(database: sqlite3.Connection, path: Path) -> None:
    """Refuse tables with computed rows: a few bytes could produce endless or huge ones.

    Raises:
        RecordingError: A table is a view, a virtual table or has computed columns; or the database cannot be read.
    """
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        query = f"SELECT name, type, rootpage FROM sqlite_master WHERE lower(name) IN {_TABLES}"
        for name, kind, page in database.execute(query).fetchall():
            if kind not in ("table", "view"):
                continue
            columns = database.execute(f"PRAGMA table_xinfo({name.lower()})").fetchall()
            if kind == "view" or not page or any(column[6] for column in columns):
                what = "a view" if kind == "view" else "computed"
                raise RecordingError(f"{path} is not a rosbag2 database: its {printable(name)} are {what}, not a table")
    except SQLITE_ERRORS as error:
        raise RecordingError(f"{path} cannot be opened as a database: {printable(error)}") from error


def channels_of(database: sqlite3.Connection, path: Path) -> dict[int, Channel]:
    """Return the topics of an open database, by its own numbers; raises RecordingError if they cannot be read."""
    try:
        columns = {row[1] for row in database.execute("PRAGMA table_info(topics)")}
        wanted = ("id", "name", "type", "serialization_format", "offered_qos_profiles")
        selected = ", ".join(name if name in columns else "''" for name in wanted)
        rows = database.execute(f"SELECT {selected} FROM topics").fetchall()
    except SQLITE_ERRORS as error:
        raise RecordingError(
            f"{path} is a database whose topics cannot be read: {printable(error)}; its messages cannot be assigned to "
            "topics"
        ) from error
    definitions = _definitions(database)
    return {
        number: Channel(str(name), str(msgtype), definitions.get(msgtype, ""), str(encoding), str(qos))
        for number, name, msgtype, encoding, qos in rows
        if isinstance(number, int)
    }


def _definitions(database: sqlite3.Connection) -> dict[Any, str]:
    try:
        rows = database.execute("SELECT topic_type, encoded_message_definition FROM message_definitions").fetchall()
    except SQLITE_ERRORS:  # bags before Iron have none
        return {}
    return {name: str(text) for name, text in rows}


def _places(database: sqlite3.Connection, contents: BagContents, unwanted: Collection[int]) -> Places:
    places = Places()
    try:
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY id")
        for channel, stamp_ns, content in rows:
            if channel in unwanted:
                continue
            if not (isinstance(channel, int) and isinstance(content, bytes) and _is_time(stamp_ns)):
                contents.lose("rows that are not messages", len(content) if isinstance(content, bytes) else 0)
                continue
            offset = contents.keep(content)
            places.add(channel, stamp_ns, stamp_ns, spooled=True, offset=offset, size=len(content))
    except SQLITE_ERRORS:
        contents.lose(MALFORMED, 0)
    return places


def _is_time(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value <= LAST_STAMP_NS
