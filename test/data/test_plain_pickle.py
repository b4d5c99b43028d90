"""The reader of pickles: it returns numpy's data, and executes nothing."""

import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vdd_ros.data.formats import pickle_machine
from vdd_ros.data.formats.plain_pickle import Array, read_pickle
from vdd_ros.errors import DemonstrationError

ARRAYS: list[NDArray[Any]] = [
    np.arange(6, dtype=np.float64).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.arange(5, dtype=">i4"),
    np.array([True, False]),
    np.zeros((0, 3)),
    np.array(7, dtype=np.uint8),
    np.arange(24).reshape(2, 3, 4)[:, ::2],
]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_come_back_as_they_were(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "file.pkl"
    file.write_bytes(pickle.dumps({"robot": ARRAYS, "number": np.float32(0.5), "text": "x"}, protocol))
    found: Any = read_pickle(file)
    for made, array in zip(ARRAYS, found["robot"], strict=True):
        values = array.values()
        assert np.array_equal(values, made)
        assert values.dtype == made.dtype
    assert found["number"] == 0.5
    assert found["text"] == "x"


def test_pickles_of_numpy_1_are_read(tmp_path: Path) -> None:
    """Its functions were in numpy.core, where numpy 2 has numpy._core."""
    content = pickle.dumps({"a": ARRAYS[0]}, 3).replace(b"cnumpy._core.", b"cnumpy.core.")
    assert b"cnumpy.core.multiarray\n" in content
    (tmp_path / "file.pkl").write_bytes(content)
    found: Any = read_pickle(tmp_path / "file.pkl")
    assert np.array_equal(found["a"].values(), ARRAYS[0])


class Runs:
    """Makes a folder while it is unpickled."""

    def __init__(self, folder: Path, function: Callable[..., Any] = os.mkdir) -> None:
        self.parts = function, (str(folder),)

    def __reduce__(self) -> Any:
        return self.parts


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    file, trace = tmp_path / "file.pkl", tmp_path / "trace"
    content = pickle.dumps({"robot": Runs(trace)}, protocol)
    file.write_bytes(content)
    with pytest.raises(DemonstrationError, match=r"it asks for '\w+\.mkdir', which is never called"):
        read_pickle(file)
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists()  # so it would have run


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy\nndarray\n((I2\nttR.",
        b"cnumpy\nndarray\n)\x81.",
        b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000\ntS'b'\ntR.",
        b"cnumpy._core.multiarray\nscalar\n(S'f8'\nS'x'\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"Pmine\n.",
        b"\x80\x05\x82\x01.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"",
        b"no pickle",
    ],
)
def test_what_numpy_does_not_write_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.pkl"
    file.write_bytes(content)
    with pytest.raises(DemonstrationError, match="is not a readable pickle"):
        read_pickle(file)


@pytest.mark.parametrize("made", [np.array([{}, 1], object), np.array(["a"]), np.array(["2020-01-01"], "M8[D]")])
def test_arrays_of_other_things_than_numbers_have_no_values(tmp_path: Path, made: Any) -> None:
    file = tmp_path / "file.pkl"
    file.write_bytes(pickle.dumps([made]))
    found: Any = read_pickle(file)
    with pytest.raises(ValueError, match="which are not numbers"):
        found[0].values()


def test_every_cut_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file.pkl"
    content = pickle.dumps({"a": ARRAYS[0], "b": ARRAYS[1]})
    for size in range(len(content)):
        file.write_bytes(content[:size])
        with pytest.raises(DemonstrationError):
            read_pickle(file)


def test_every_damaged_byte_is_refused_or_gives_plain_values(tmp_path: Path) -> None:
    file = tmp_path / "file.pkl"
    content = pickle.dumps({"a": ARRAYS[0], "b": np.float64(2.0)})
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 0x41
        file.write_bytes(damaged)
        try:
            found = read_pickle(file)
            for value in found.values() if isinstance(found, dict) else ():
                if isinstance(value, Array):
                    value.values()
        except (DemonstrationError, ValueError):
            continue


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\x80\x04c_codecs\nencode\nN}\x8c\x04madeK\x01s\x86b.", "it changes an object that is not an array"),
        (b"\x80\x04}K\x01\x85\x85Ns.", "a key that is neither text nor number"),
        (b"\x80\x04}]Ns.", "a key that is neither text nor number"),
        (b"\x80\x04\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.", "a whole number of more than 64 bits"),
        (b"\x80\x04}K\x01a.", "it appends to an object that is not a list"),
        (b"\x80\x04]K\x01K\x02s.", "into an object that is not a dictionary"),
        (b"\x80\x04K\x01K\x02\x93.", "it names a function without text"),
        (b"\x80\x04h\x05.", "is not a readable pickle"),
        (b"\x80\x040.", "is not a readable pickle"),
        (b"\x80\x04u.", "is not a readable pickle"),
        (b"cnumpy\nndarray\n(I2\ntR.", "it makes an array in a way unknown to numpy"),
    ],
)
def test_steps_that_make_something_else_are_refused(tmp_path: Path, content: bytes, match: str) -> None:
    file = tmp_path / "file.pkl"
    file.write_bytes(content)
    with pytest.raises(DemonstrationError, match=match):
        read_pickle(file)


def test_a_place_in_memory_that_is_far_away_takes_none(tmp_path: Path) -> None:
    """Python's own machine allocates a list as long as the largest number."""
    file = tmp_path / "file.pkl"
    file.write_bytes(b"\x80\x04K\x07r\x00\x00\x20\x00.")
    tracemalloc.start()
    assert read_pickle(file) == 7
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_pickles_of_too_many_steps_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_STEPS", 100)
    file = tmp_path / "file.pkl"
    file.write_bytes(pickle.dumps(list(range(30))))
    assert read_pickle(file) == list(range(30))
    file.write_bytes(pickle.dumps(list(range(100))))
    with pytest.raises(DemonstrationError, match="takes more than 100 steps; save its numbers as arrays"):
        read_pickle(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back_as_they_were(tmp_path: Path, protocol: int) -> None:
    shared = [1.5, -3, 2**40, True, None, "\N{GRINNING FACE}", ()]
    made = {"a": shared, "b": (shared, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), 3: {}, (1, "x"): [], None: [[]]}
    file = tmp_path / "file.pkl"
    file.write_bytes(pickle.dumps(made, protocol))
    assert read_pickle(file) == made
