"""Messages in blocks are the messages that come one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import NUMBER_TYPE, STORE, number_message
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from vdd_ros.bags import blocks
from vdd_ros.bags.raw_messages import RawBag
from vdd_ros.robot.cdr.packed import Packed


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (StoragePlugin.MCAP, None),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, None),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
    ],
)
def test_they_are_those_that_come_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Any, mode: Any, order: int
) -> None:
    monkeypatch.setattr(blocks, "MESSAGES", 70)
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=storage)
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        for topic in "abc":
            connection = writer.add_connection(f"/{topic}", NUMBER_TYPE, typestore=STORE)
            for number in range(100)[::order]:
                writer.write(connection, 1000 + 10 * number, number_message(number))
    with RawBag(tmp_path / "bag") as bag:
        for places in (None, [0, 2]):
            found = list(bag.blocks(places))
            assert [one for block in found for one in block.messages(bag.channels)] == list(bag.messages(places))
            assert all((np.diff(block.log_ns) >= 0).all() for block in found)


def test_small_blocks_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BYTES", 10)
    made = [
        blocks.MessageBlock(places, places, places, Packed.of([b"ab" * number, b"c"]))
        for number, places in enumerate(np.arange(6).repeat(2).reshape(6, 2))
    ]
    joined = list(blocks.of_blocks(made))
    assert len(joined) < len(made)
    assert np.concatenate([block.places for block in joined]).tolist() == [n for n in range(6) for _ in range(2)]
    contents = [block.contents[place] for block in joined for place in range(len(block))]
    assert contents == [content for number in range(6) for content in (b"ab" * number, b"c")]


def test_rows_and_single_messages_are_of_the_same_bytes() -> None:
    contents = [b"abcd", b"", b"efgh", b"ijklmn"]
    packed = Packed.of(contents)
    assert [packed[place] for place in range(4)] == contents
    assert packed.rows(np.array([2, 0]), 4).tobytes() == b"efghabcd"
    assert packed.rows(np.array([3]), 6).tobytes() == b"ijklmn"
    assert packed.rows(np.array([1]), 0).shape == (1, 0)
    taken = packed.taken(np.array([3, 1, 0])).alone()
    assert ([taken[place] for place in range(3)], taken.content) == ([b"ijklmn", b"", b"abcd"], b"ijklmnabcd")
