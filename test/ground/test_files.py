"""Files are written whole or not at all, by any number of writers; locks name who holds them."""

import argparse
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vdd_ros.cli.results import keep_result
from vdd_ros.errors import VddError
from vdd_ros.files import replacing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def start(code: str, *words: object) -> "subprocess.Popen[str]":
    """Start a Python process that says when it is ready."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def ready(process: "subprocess.Popen[str]") -> "subprocess.Popen[str]":
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file.txt"
    for text in ("first", "second"):
        with replacing(file) as aside:
            aside.write_text(text)
            assert aside.parent == file.parent, "on the same file system"
            assert aside.name.startswith("."), "hidden"
            assert not file.exists() or file.read_text() == "first"
        assert file.read_text() == text
    assert names(file.parent) == ["file.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(file) as aside:
        aside.write_text("half")
        raise OSError("full")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    with replacing(file) as one:
        one.write_text("one")
        with replacing(file) as other:
            other.write_text("other")
            assert one.read_text() == "one"
        assert file.read_text() == "other"
    assert file.read_text() == "one", "the last to end wins, whole"
    assert names(tmp_path) == ["file.txt"]


def test_many_threads_at_one_file(tmp_path: Path) -> None:
    file, failures = tmp_path / "file.txt", []

    def write(text: str) -> None:
        try:
            for _ in range(20):
                with replacing(file) as aside, aside.open("w") as stream:
                    for _ in range(50):
                        stream.write(text)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(str(number) * 100,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    content = file.read_text()
    assert len(content) == 5000
    assert len(set(content)) == 1, "of one writer"
    assert names(tmp_path) == ["file.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "disk" / "real.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(Path("disk") / "real.txt")
    with replacing(link) as aside:
        aside.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    dangling = tmp_path / "dangling.txt"
    dangling.symlink_to(tmp_path / "disk" / "made.txt")
    with replacing(dangling) as aside:
        aside.write_text("made")
    assert dangling.is_symlink()
    assert (tmp_path / "disk" / "made.txt").read_text() == "made"
    assert names(tmp_path / "disk") == ["made.txt", "real.txt"]


def test_a_ring_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"), replacing(tmp_path / "one"):
        pytest.fail("the block ran")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_permissions_stay(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    file.chmod(mode)
    with replacing(file) as aside:
        aside.write_text("new")
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "new") as aside:
        aside.write_text("new")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_cannot_be_replaced_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"), replacing(tmp_path / "folder"):
        pytest.fail("the block ran")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), replacing(tmp_path / "file" / "below"):
        pytest.fail("the block ran")
    assert names(tmp_path) == ["file", "folder"]


def test_a_block_that_wrote_nothing_does_not_empty_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with pytest.raises(OSError), replacing(file):
        pass
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    """Such as /dev/stdout; a rename would put a file in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    with replacing(pipe) as aside:
        aside.write_text("numbers")
    reader.join(120)
    assert read == ["numbers"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["pipe"]


# It waits in short pieces: a signal just before a blocking read would be handled only after it.
HANGING = """
import select, signal, sys
from pathlib import Path
from vdd_ros.files import replacing

def end(number, frame):
    raise SystemExit(128 + number)

if sys.argv[2] == "handled":
    signal.signal(signal.SIGTERM, end)
with replacing(Path(sys.argv[1])) as aside:
    aside.write_text("half")
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        pass
"""


def test_sigterm_as_an_exception_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("old")
    with ready(start(HANGING, file, "handled")) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 128 + signal.SIGTERM
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path, number: signal.Signals) -> None:
    file, other = tmp_path / "file.txt", tmp_path / "other.txt"
    with ready(start(HANGING, file, "plain")) as dead, ready(start(HANGING, other, "plain")) as dead_of_another:
        dead.send_signal(number)
        dead_of_another.send_signal(number)
    assert len(names(tmp_path)) == 2, "both left half a file"
    with ready(start(HANGING, file, "handled")) as living:
        assert len(names(tmp_path)) == 2, "one was removed, one is new"
        with replacing(file) as aside:
            aside.write_text("new")
        assert len(names(tmp_path)) == 3
        assert living.stdin is not None
        living.stdin.close()
        assert living.wait(120) == 0
    assert file.read_text() == "half", "the living one wrote on, and ended last"
    assert len(names(tmp_path)) == 2, "what belongs to another file is left alone"


APPENDING = """
import argparse, sys
from pathlib import Path
from vdd_ros.cli.results import keep_result

print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    arguments = argparse.Namespace(json=None, append=Path(sys.argv[1]), label=f"{sys.argv[2]}-{number}")
    keep_result(arguments, {"value": number})
"""


def test_no_appended_result_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    keep_result(argparse.Namespace(json=None, append=file, label="before"), {"value": 0})
    writers = [ready(start(APPENDING, file, writer, 40)) for writer in range(4)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        with writer:
            assert writer.wait(120) == 0
    assert len(json.loads(file.read_text())) == 1 + 4 * 40
    assert names(tmp_path) == ["results.json"]


HOLDING = """
import sys
from pathlib import Path
from vdd_ros.locks import holding

with holding(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_one_process_s(tmp_path: Path) -> None:
    from vdd_ros.locks import holding

    folder = tmp_path / "run"
    with ready(start(HOLDING, folder, "alone")) as holder:
        for shared in (False, True):
            told = rf"the folder '.*run' is in use by process {holder.pid} \(.*alone\); wait"
            with pytest.raises(VddError, match=told), holding(folder, shared=shared):
                pytest.fail("held twice")
        holder.kill()
    with holding(folder), pytest.raises(VddError, match=f"process {os.getpid()}"), holding(folder):
        pytest.fail("held twice")
    assert names(folder) == [], "the lock that the killed one left is gone too"


def test_a_shared_folder_is_free_when_the_last_one_ends(tmp_path: Path) -> None:
    from vdd_ros.locks import holding

    with ready(start(HOLDING, tmp_path, "shared")) as holder:
        with holding(tmp_path, shared=True):
            pass
        with pytest.raises(VddError, match="is in use by"), holding(tmp_path):
            pytest.fail("held with another")
        assert holder.stdin is not None
        holder.stdin.close()
        assert holder.wait(120) == 0
    with holding(tmp_path):
        pass
    assert names(tmp_path) == []


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    from vdd_ros.locks import holding

    order: list[str] = []

    def wait() -> None:
        with holding(tmp_path, wait_s=60):
            order.append("second")

    with holding(tmp_path):
        thread = threading.Thread(target=wait)
        thread.start()
        order.append("first")
    thread.join(120)
    assert order == ["first", "second"]
    assert names(tmp_path) == []


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    from vdd_ros.locks import LOCK_FILE, holding

    (tmp_path / "precious").write_text("kept")
    (tmp_path / LOCK_FILE).symlink_to("precious")
    with pytest.raises(OSError, match="locking failed"), holding(tmp_path):
        pytest.fail("held")
    assert (tmp_path / "precious").read_text() == "kept"
