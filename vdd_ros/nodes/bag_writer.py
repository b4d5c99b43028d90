"""A rosbag2 directory (mcap) written aside, with a failure state of its own."""

import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_typestore

from vdd_ros.data.sequence import SequenceCheck
from vdd_ros.errors import RecordingError
from vdd_ros.nodes.bag_index import ChunkIndex
from vdd_ros.nodes.bag_salvage import lock, salvage

SEQUENCE_KEY = "vdd_ros.sequence"
LATENCY_TYPE = "std_msgs/msg/Float64MultiArray"


class BagWriter:
    """Writes messages into `<output>.partial/` and moves the bag to `<output>` when it is complete.

    The first error of the operating system (a full disk, say) ends the record: the error is kept in `failure`, later
    messages are ignored, and `close` raises it. What was flushed by then stays, as a readable bag: the file is cut back
    to its last whole chunk and ended properly. A writer that was killed leaves what `vdd bag mend` makes a bag of; as
    long as it lives, the file is locked against that.

    Memory does not grow with the record: the index of the bag is kept on the disk too.

    The sequence numbers of topics that end in `/latency` are followed; the result goes into the bag's custom data.

    Attributes:
        output: The bag.
        failure: The error that ended the record, or None.
        sequences: Topic to what was found about its sequence numbers.
    """

    def __init__(self, output: Path, partial: Path | None = None) -> None:
        """Make the partial bag; raises RecordingError if one of the two exists or it cannot be made."""
        self.output = output
        self.failure: RecordingError | None = None
        self.sequences: dict[str, SequenceCheck] = {}
        self._partial = partial or output.with_name(f"{output.name}.partial")
        for path in (output, self._partial):
            if path.exists():
                raise RecordingError(f"bag {path} exists already; remove it or choose another output")
        self._typestore = get_typestore(Stores.ROS2_JAZZY)
        self._writer = Writer(self._partial / output.name, version=9, storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Connection] = {}
        self._last_stamp_ns = 0
        try:
            self._writer.open()
            self._index = ChunkIndex(self._writer.path)
        except (OSError, WriterError) as error:
            raise RecordingError(f"bag {self._partial} cannot be made: {error}; choose another output") from error
        self._storage = cast(Any, self._writer.storage)
        self._storage.chunks = self._index
        lock(self._storage.bio)  # until it is closed

    def add_topic(self, topic: str, msgtype: str, offered_qos: Sequence[Qos] = ()) -> None:
        """Register a topic before its first message; raises RecordingError if the type's definition is not known."""
        if msgtype not in self._typestore.types:
            raise RecordingError(
                f"topic {topic} has the type {msgtype}, which is none of ROS 2 Jazzy's standard messages; only those "
                "can be recorded: leave the topic out"
            )
        self._connections[topic] = self._writer.add_connection(
            topic, msgtype, typestore=self._typestore, offered_qos_profiles=offered_qos
        )
        if topic.endswith("/latency") and msgtype == LATENCY_TYPE:
            self.sequences[topic] = SequenceCheck()

    def write(self, topic: str, stamp_ns: int, message: bytes) -> None:
        """Take one serialised message.

        Args:
            topic: A topic that was added.
            stamp_ns: Time of receipt; one before the last message's is raised to it, since readers of a file without an
                index need them in order.
            message: CDR bytes.
        """
        if self.failure is not None:
            return
        self._last_stamp_ns = max(stamp_ns, self._last_stamp_ns)
        try:
            self._writer.write(self._connections[topic], self._last_stamp_ns, message)
        except OSError as error:
            self._fail(error)
        if topic in self.sequences:
            self._follow(topic, message)

    def flush(self) -> None:
        """Hand everything taken so far to the operating system, as one chunk."""
        if self.failure is not None or not self._storage.chunk.msgs:
            return
        try:
            self._storage.close_chunk()
            self._storage.bio.flush()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Complete the bag and move it to its place.

        Raises:
            RecordingError: If the record failed; or if it is complete on disk but sequence numbers are missing.
        """
        if self.failure is None:
            self._complete()
        if self.failure is not None:
            raise self.failure
        incomplete = [f"{topic}: {check.describe()}" for topic, check in self.sequences.items() if check.gaps]
        if incomplete:
            raise RecordingError(f"bag {self.output} was closed properly, but has gaps: {'; '.join(incomplete)}")

    def _follow(self, topic: str, message: bytes) -> None:
        record: Any = self._typestore.deserialize_cdr(message, LATENCY_TYPE)
        labels = [dimension.label for dimension in record.layout.dim]
        place = labels.index("seq") if "seq" in labels else len(record.data)
        if place < len(record.data) and math.isfinite(record.data[place]):
            self.sequences[topic].add(int(record.data[place]))

    def _complete(self) -> None:
        checks = {topic: check.to_dict() for topic, check in self.sequences.items()}
        self._writer.set_custom_data(SEQUENCE_KEY, json.dumps(checks))
        try:
            self._writer.close()
            self._index.close()
            with self._storage.path.open("rb") as file:
                os.fsync(file.fileno())
            self._writer.path.rename(self.output)
        except OSError as error:
            self._fail(error)
            return
        with suppress(OSError):
            self._partial.rmdir()

    def _fail(self, error: OSError) -> None:
        with suppress(OSError):
            self._writer.abort()
        self._index.close()
        self.failure = RecordingError(f"recording to {self.output} stopped: {error}; {self._rescue()}")

    def _rescue(self) -> str:
        """Make a readable bag of what is on the disk, and say what that is."""
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
        """Let the writer's metadata describe the file as it is now; closing the writer then only writes metadata."""
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        self._writer.counts = {c.id: counts.get(c.topic, 0) for c in self._writer.connections}
        self._writer.min_timestamp, self._writer.max_timestamp = reader.start_time, reader.end_time - 1
        closed: Any = SimpleNamespace(path=self._storage.path, close=lambda version, metadata: None)
        self._writer.storage = closed
