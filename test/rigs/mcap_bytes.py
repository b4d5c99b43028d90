"""MCAP files put together byte by byte, as recorders of others write them, and as cuts and faults leave them."""

import struct
from collections.abc import Callable, Sequence
from zlib import crc32

from bag_files import LATENCY_TYPE, STORE

MAGIC = b"\x89MCAP0\r\n"
SUMMARY = struct.Struct("<QHIIIIQQ")
RECORD_HEAD = 9


def record(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def header(profile: str = "ros2") -> bytes:
    return MAGIC + record(0x01, text(profile) + text("by hand"))


def schema(number: int, msgtype: str, definition: str | None = None) -> bytes:
    """A schema record; the standard definition, if none is given."""
    if definition is None:
        definition, _ = STORE.generate_msgdef(msgtype, ros_version=2)
    body = struct.pack("<H", number) + text(msgtype) + text("ros2msg" if definition else "") + text(definition)
    return record(0x03, body)


def channel(number: int, topic: str, schema_number: int = 1, qos: str = "", encoding: str = "cdr") -> bytes:
    metadata = text("offered_qos_profiles") + text(qos)
    body = struct.pack("<HH", number, schema_number) + text(topic) + text(encoding)
    return record(0x04, body + struct.pack("<I", len(metadata)) + metadata)


def message(number: int, stamp_ns: int, content: bytes, published_ns: int | None = None) -> bytes:
    published_ns = stamp_ns if published_ns is None else published_ns
    return record(0x05, struct.pack("<HIQQ", number, 0, stamp_ns, published_ns) + content)


def chunk(
    records: bytes,
    compression: str = "",
    packed: bytes | None = None,
    checksum: int | None = None,
    times: tuple[int, int] | None = None,
) -> bytes:
    """A chunk; `packed` is what the compression makes of the records, `times` those of the first and last message."""
    checksum = crc32(records) if checksum is None else checksum
    packed = records if packed is None else packed
    head = struct.pack("<QQQI", *(times or (0, 2**62)), len(records), checksum) + text(compression)
    return record(0x06, head + struct.pack("<Q", len(packed)) + packed)


def end(counted: int | None = None, before: int = 0, summary: bytes = b"") -> bytes:
    """The end of a file.

    Args:
        counted: Messages that its statistics count, all of channel 1; by default it has none.
        before: Bytes of the file before its end; needed with statistics.
        summary: Schemas and channels, as statistics need them.
    """
    data_end = record(0x0F, bytes(4))
    statistics = b""
    if counted is not None:
        counts = struct.pack("<IHQ", 10, 1, counted)
        statistics = summary + record(0x0B, SUMMARY.pack(counted, 1, 1, 0, 0, 0, 0, 2**62) + counts)
    start = before + len(data_end) if statistics else 0
    return data_end + statistics + record(0x02, struct.pack("<QQI", start, 0, 0)) + MAGIC


def topics(*names: str, msgtype: str = LATENCY_TYPE) -> bytes:
    """One schema, and channels 1, 2, … of these names."""
    return schema(1, msgtype) + b"".join(channel(place, name) for place, name in enumerate(names, 1))


def messages(numbers: Sequence[int], content: Callable[[int], bytes], number: int = 1, at_ns: int = 1000) -> bytes:
    """Messages of a channel, a nanosecond times their number apart."""
    return b"".join(message(number, at_ns + k, content(k)) for k in numbers)
