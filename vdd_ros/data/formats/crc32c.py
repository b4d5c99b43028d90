"""CRC-32C (Castagnoli), the checksum of zarr's shards and chunks; RFC 3720, appendix B.4."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

_POLYNOMIAL = np.uint32(0x82F63B78)
_START = np.uint32(0xFFFFFFFF)
_BITS = np.arange(32, dtype=np.uint32)


def _table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ _POLYNOMIAL, table >> 1)
    return table


_TABLE = _table()


def crc32c(content: bytes) -> int:
    """Return the checksum of some bytes.

    The register is linear in its input. So the bytes are divided into lanes, which are processed in parallel from
    registers of 0 and then joined in pairs: the first one moved past the bytes of the second, plus the second. The
    initial register is moved past all bytes likewise.
    """
    size = len(content)
    length = 1 << (size.bit_length() // 2)  # bytes of a lane
    lanes = 1 << max(-(-size // length) - 1, 0).bit_length()
    message = np.zeros(lanes * length, np.uint8)  # zeros before it leave a register of 0
    message[len(message) - size :] = np.frombuffer(content, np.uint8)
    registers = np.zeros(lanes, np.uint32)
    for column in message.reshape(lanes, length).T:
        registers = _read(registers, column)
    move = _moves(length)
    while len(registers) > 1:
        registers = _moved(move, registers[::2]) ^ registers[1::2]
        move = _moved(move, move)
    start = _moved(_moves(size), np.array([_START]))
    return int(registers[0] ^ start[0] ^ _START)


def _read(registers: Words, column: NDArray[np.uint8]) -> Words:
    """Return registers after one byte each."""
    return np.asarray(_TABLE[(registers ^ column) & 0xFF] ^ registers >> 8, np.uint32)


def _moves(count: int) -> Words:
    """Return where each bit of a register moves after that many zeros, (32,)."""
    found, power = np.uint32(1) << _BITS, _read(np.uint32(1) << _BITS, np.zeros(32, np.uint8))
    while count:
        if count & 1:
            found = _moved(power, found)
        power = _moved(power, power)
        count >>= 1
    return found


def _moved(moves: Words, registers: Words) -> Words:
    """Return registers, (n,), with bits moved according to `moves`."""
    bits = registers[:, None] >> _BITS & 1
    return np.asarray(np.bitwise_xor.reduce(bits * moves, axis=1), np.uint32)
