"""Recordings of CUDA graphs: each thread sets the driver once to ignore those of others."""

from concurrent.futures import ThreadPoolExecutor
from threading import get_ident
from typing import Any

import pytest

from vdd_ros.errors import ProviderError
from vdd_ros.policy import cuda_recording


class FakeDriver:
    """CUDA's driver; keeps which thread asked for which mode."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.modes: list[tuple[int, int]] = []

    def cuInit(self, flags: int) -> int:
        return flags

    def cuThreadExchangeStreamCaptureMode(self, mode: Any) -> int:
        self.modes.append((get_ident(), mode._obj.value))
        return self.code


def test_every_thread_ignores_recordings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks for it once: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL is 1."""
    driver = FakeDriver()
    monkeypatch.setattr(cuda_recording, "CDLL", {"libcuda.so.1": driver}.__getitem__)

    def twice() -> int:
        for _ in range(2):
            cuda_recording.ignore_recordings_elsewhere()
        return get_ident()

    threads = []
    for _ in range(2):
        with ThreadPoolExecutor(1) as pool:
            threads.append(pool.submit(twice).result())
    assert driver.modes == [(thread, 1) for thread in threads]


def test_a_driver_that_is_missing_or_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open")

    def refuses(_: str) -> FakeDriver:
        return FakeDriver(999)

    for driver, message in ((missing, "cannot be loaded: libcuda.so.1: cannot open"), (refuses, "CUresult 999")):
        monkeypatch.setattr(cuda_recording, "CDLL", driver)
        with ThreadPoolExecutor(1) as pool, pytest.raises(ProviderError, match=message):
            pool.submit(cuda_recording.ignore_recordings_elsewhere).result()
