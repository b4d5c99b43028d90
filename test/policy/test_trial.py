"""Opening a file first in another process: its findings, and no remains."""

import os
import select
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
from endless_policy import write_endless
from policy_files import write_mixture
from ros_helpers import DEADLINE_S

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.policy import trial
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.providers import EngineCache, ProviderSettings
from vdd_ros.policy.trial import opening_stops_python, try_to_open

CPU = ProviderSettings()


@pytest.mark.parametrize(
    ("version", "stops"),
    [
        ("1.23.2", True),
        ("1.30.0", True),
        ("1.31.0.dev20260601", False),
        ("1.31.1", False),
        ("1.100.0", False),
        ("2.0.0", False),
        ("unknown", True),
    ],
)
def test_which_versions_stop_python(monkeypatch: pytest.MonkeyPatch, version: str, stops: bool) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", version)
    assert opening_stops_python() == stops


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_files_that_open_and_files_that_are_refused_count_as_tried(tmp_path: Path, content: bytes | None) -> None:
    path = write_mixture(tmp_path / "policy.onnx")
    if content is not None:
        path.write_bytes(content)
    try_to_open(PolicyFile.read(path), CPU, 100.0)


def test_an_endless_file_is_aborted(tmp_path: Path) -> None:
    file = PolicyFile.read(write_endless(tmp_path / "endless.onnx"))
    with pytest.raises(ConfigurationError, match=r"endless.onnx was not open after 0.5 s"):
        try_to_open(file, CPU, 0.5)


def test_a_file_that_kills_the_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_PROGRAM", "import os, sys; print('why', file=sys.stderr, flush=True); os.abort()")
    with pytest.raises(PolicyFileError, match=r"(?s)ended with -6: why\..*install onnxruntime 1.31 or newer"):
        try_to_open(PolicyFile.read(write_mixture(tmp_path / "policy.onnx")), CPU, 100.0)


def test_engines_that_are_built_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PolicyFile.read(write_mixture(tmp_path / "policy.onnx"))
    tensorrt = ProviderSettings("tensorrt", engine_cache=str(tmp_path / "cache"))
    folder = EngineCache(tensorrt, file.sha256).folder
    (folder / "old.engine").touch()
    monkeypatch.setattr(trial, "_PROGRAM", f"open({str(folder / 'new.engine')!r}, 'w')")
    assert try_to_open(file, tensorrt, 100.0) == ["new.engine"]
    assert try_to_open(file, tensorrt, 100.0) == []


WAITS = """
from vdd_ros.policy import trial
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.providers import ProviderSettings
before, after = trial._PROGRAM.split("main(")
wait = "lambda *_, **__: (open({fifo!r}, 'w').write(str(os.getpid())), signal.pause())"
imports = "import os, signal; from vdd_ros.policy import trial"
trial._PROGRAM = f"{{before}}{{imports}}; trial.open_session = {{wait}}; main({{after}}"
trial.try_to_open(PolicyFile.read({path!r}), ProviderSettings(), 1000.0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_other_process_ends_with_this_one(tmp_path: Path) -> None:
    path, fifo = write_mixture(tmp_path / "policy.onnx"), tmp_path / "fifo"
    os.mkfifo(fifo)
    told = os.open(fifo, os.O_RDWR)
    with subprocess.Popen([sys.executable, "-c", WAITS.format(fifo=str(fifo), path=str(path))]) as waits:
        try:
            assert select.select([told], [], [], DEADLINE_S)[0], "nothing was opened"
            other = os.pidfd_open(int(os.read(told, 100)))
        finally:
            waits.kill()
    os.close(told)
    assert select.select([other], [], [], DEADLINE_S)[0], "it runs on"  # readable once the process has ended
    os.close(other)
