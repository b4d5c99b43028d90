"""Writes a rosbag2 directory (mcap) beside its target, with its own failure state."""

import errno
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from vdd_ros.bags.chunk_index import ChunkIndex
from vdd_ros.bags.records import RECORD_TYPES, SEQUENCE, read_record
from vdd_ros.bags.salvage import lock, salvage
from vdd_ros.bags.sequence import LARGEST, SequenceCheck
from vdd_ros.errors import RecordingError

SEQUENCE_KEY = "vdd_ros.sequence"

_FULL_CHUNK = 1 << 20
_PUBLISHED_AT = 9 + 2 + 4 + 8
"""Bytes before a record's time of publishing: opcode and length, channel, number, time of receipt."""


class BagWriter:
    """Writes messages into `<output>.partial/` and moves the bag to `<output>` when it is complete.

    The first error of the operating system (a full disk, say) ends the record: the error is kept in `failure`, later
    messages are ignored, and `close` raises it. Flushed data stays as a readable bag: the file is truncated to its last
    whole chunk and closed properly. `vdd bag mend` completes the file of a killed writer; a live writer locks it
    against that.

    Memory does not grow with the record: the index of the bag is kept on disk too.

    The sequence numbers of topics that end in `/latency` are checked; the result goes into the bag's custom data.

    Attributes:
        output: The bag.
        failure: The error that ended the record, and the saved data, in words, or None.
        cause: Message of the operating system, or None.
        sequences: Topic -> check of its sequence numbers.
    """

    def __init__(self, output: Path, partial: Path | None = None) -> None:
        """Create the partial bag; raises RecordingError if either bag exists, or on failure."""
        self.output = output
        self.failure: RecordingError | None = None
        self.cause: OSError | None = None
        self.sequences: dict[str, SequenceCheck] = {}
        self._partial = partial or output.with_name(f"{output.name}.partial")
        if os.path.lexists(output):
            raise RecordingError(f"bag {output} exists already; remove it or choose another output")
        if os.path.lexists(self._partial):
            raise RecordingError(
                f"bag {self._partial} exists already: another recorder is writing it, or was killed; in that case "
                f"`vdd bag mend {output}` repairs it. Choose another output, or remove it"
            )
        self._typestore = get_typestore(Stores.ROS2_JAZZY)
        self._writer = Writer(self._partial / output.name, version=9, storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Connection] = {}
        self._last_stamp_ns = 0
        try:
            self._writer.open()
            self._index = ChunkIndex(self._writer.path)
        except (OSError, WriterError) as error:
            self._remove_begun(error)
            raise RecordingError(f"bag {self._partial} cannot be created: {error}; choose another output") from error
        self._storage = cast(Any, self._writer.storage)
        self._storage.chunks = self._index
        lock(self._storage.bio)  # until it is closed

    def add_topic(
        self, topic: str, msgtype: str, offered_qos: Sequence[Qos] = (), definition: tuple[str, str] | None = None
    ) -> Connection:
        """Register a topic before its first message.

        Args:
            topic: Its name.
            msgtype: Its type.
            offered_qos: The publishers' profiles.
            definition: Definition of the type and its hash; by default that of ROS 2 Jazzy.

        Raises:
            RecordingError: The definition of the type is unknown.
        """
        if definition is None and msgtype not in self._typestore.types:
            raise RecordingError(
                f"topic {topic} has the type {msgtype}, which is not a standard message of ROS 2 Jazzy; only those "
                "can be recorded: leave the topic out"
            )
        msgdef, digest = definition or (None, None)
        connection = self._writer.add_connection(
            topic,
            msgtype,
            typestore=self._typestore,
            msgdef=msgdef,
            rihs01=digest,
            offered_qos_profiles=offered_qos,
        )
        self._connections[topic] = connection
        if topic.endswith("/latency") and msgtype in RECORD_TYPES:
            self.sequences[topic] = SequenceCheck()
        return connection

    def write(self, topic: str, stamp_ns: int, message: bytes) -> None:
        """Take one serialised message.

        Args:
            topic: An added topic.
            stamp_ns: Time of receipt; one before the last message's is raised to it, since readers of a file without an
                index need them in order.
            message: CDR bytes.
        """
        self.write_to(self._connections[topic], stamp_ns, message)

    def write_to(self, connection: Connection, stamp_ns: int, message: bytes, published_ns: int | None = None) -> None:
        """Take one serialised message with its time of publishing, as `write` does.

        Args:
            connection: Result of `add_topic`.
            stamp_ns: Time of receipt.
            message: CDR bytes.
            published_ns: Time of publishing; by default that of receipt.
        """
        if self.failure is not None:
            return
        self._last_stamp_ns = max(stamp_ns, self._last_stamp_ns)
        try:
            if published_ns is None or published_ns == self._last_stamp_ns:
                self._writer.write(connection, self._last_stamp_ns, message)
            else:
                self._append(connection, self._last_stamp_ns, message, published_ns)
        except OSError as error:
            self._fail(error)
        if connection.topic in self.sequences and connection.msgtype in RECORD_TYPES:
            self._follow(connection, message)

    def _append(self, connection: Connection, stamp_ns: int, message: bytes, published_ns: int) -> None:
        """Write a message whose two times differ: the library writes one time into both fields of a record."""
        chunk = self._storage.chunk
        place = chunk.bio.tell()
        if place + len(message) > _FULL_CHUNK and chunk.msgs:
            self._storage.close_chunk()  # so that the record below is still in memory after writing
            chunk, place = self._storage.chunk, 0
        close, self._storage.close_chunk = self._storage.close_chunk, lambda: None
        try:
            self._writer.write(connection, stamp_ns, message)
        finally:
            self._storage.close_chunk = close
        chunk.bio.seek(place + _PUBLISHED_AT)
        chunk.bio.write(published_ns.to_bytes(8, "little"))
        chunk.bio.seek(0, 2)
        if chunk.bio.tell() > _FULL_CHUNK:
            self._storage.close_chunk()

    def flush(self) -> None:
        """Write everything taken so far as one chunk."""
        if self.failure is not None or not self._storage.chunk.msgs:
            return
        try:
            self._storage.close_chunk()
            self._storage.bio.flush()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Complete the bag and rename it to its target.

        Raises:
            RecordingError: The record failed, or it is complete on disk but lacks sequence numbers.
        """
        if self.failure is None:
            self._complete()
        if self.failure is not None:
            raise self.failure
        if gaps := self.describe_gaps():
            raise RecordingError(f"bag {self.output} was closed properly, but its records are not whole: {gaps}")

    def describe_gaps(self) -> str:
        """Describe errors in the sequence numbers of each topic; empty if there are none."""
        return "; ".join(f"{topic}: {text}" for topic, check in self.sequences.items() if (text := check.describe()))

    def _follow(self, connection: Connection, message: bytes) -> None:
        check = self.sequences[connection.topic]
        try:
            labels, values = read_record(self._typestore.deserialize_cdr(message, connection.msgtype))
            number = float(values[labels.index(SEQUENCE)])
        except Exception:  # the parser raises nearly anything for foreign bytes
            check.unreadable += 1
            return
        if 0 <= number <= LARGEST and number.is_integer():
            check.add(int(number))
        else:
            check.unreadable += 1

    def _complete(self) -> None:
        checks = {topic: check.to_dict() for topic, check in self.sequences.items()}
        self._writer.set_custom_data(SEQUENCE_KEY, json.dumps(checks))
        try:
            self._writer.close()
            self._index.close()
        except OSError as error:
            self._fail(error)
            return
        try:
            self._move()
        except OSError as error:
            self.cause = error
            self.failure = RecordingError(
                f"the bag is complete, but could not be moved to {self.output}: {error}; it is {self._writer.path}"
            )
            return
        with suppress(OSError):
            self._partial.rmdir()

    def _move(self) -> None:
        """Rename the complete bag to its target once all of it is on disk; raises OSError if the target exists."""
        for path in (self._storage.path, self._writer.metapath, self._writer.path):
            _sync(path)
        if os.path.lexists(self.output):  # a rename would silently replace an empty folder
            raise FileExistsError(errno.EEXIST, "it exists already")
        self._writer.path.rename(self.output)
        _sync(self.output.parent)

    def _remove_begun(self, error: Exception) -> None:
        """Remove the remains of a bag that could not be created, but not files of another recorder."""
        if isinstance(error, WriterError):
            return
        with suppress(OSError):
            if self._writer.storage is not None:
                self._writer.abort()
                for file in self._writer.path.iterdir():
                    file.unlink()
            self._writer.path.rmdir()
            self._partial.rmdir()

    def _fail(self, error: OSError) -> None:
        self.cause = error
        with suppress(OSError):
            self._writer.abort()
        self._index.close()
        self.failure = RecordingError(f"recording to {self.output} stopped: {error}; {self._rescue()}")

    def _rescue(self) -> str:
        """Make a readable bag from the data on disk, and describe it."""
        path = self._storage.path
        try:
            salvage(path)
            with Reader(path) as reader:
                self._describe_rescued(reader)
                count = reader.message_count
        except (OSError, RecordingError, ReaderError) as error:
            return f"nothing of it could be saved: {error}"
        try:
            self._writer.close()
        except OSError as error:
            return f"the first {count} messages are readable in {path}, without metadata.yaml ({error})"
        return f"the first {count} messages are readable in {path.parent}"

    def _describe_rescued(self, reader: Reader) -> None:
        """Update the writer's metadata to the file's current content; closing the writer then only writes metadata."""
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        self._writer.counts = {c.id: counts.get(c.topic, 0) for c in self._writer.connections}
        self._writer.min_timestamp, self._writer.max_timestamp = reader.start_time, reader.end_time - 1
        closed: Any = SimpleNamespace(path=self._storage.path, close=lambda version, metadata: None)
        self._writer.storage = closed


def _sync(path: Path) -> None:
    """Sync a file or folder to disk; not every file system supports it for folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)
