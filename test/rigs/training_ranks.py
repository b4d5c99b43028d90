"""Processes of one training, as torchrun starts them, forked from one that has imported torch already.

torchrun, its agent and each rank import torch and what DistributedDataParallel wants of it anew: 12 s of work a run.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

RIGS = Path(__file__).parent


class TrainingRanks:
    """Runs a command in several ranks at once; a context."""

    def __enter__(self) -> "TrainingRanks":
        path = os.pathsep.join([str(RIGS), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        command = [sys.executable, str(Path(__file__))]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.communicate()

    def run(self, *words: object, world: int = 2) -> "subprocess.CompletedProcess[str]":
        """Run `vdd WORDS`, or `losses ARGUMENTS` for shared_training.py, in `world` ranks; one has no group.

        Returns:
            The first exit code that is not 0, and what all ranks wrote.
        """
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        assert self._server.stdin is not None and self._server.stdout is not None
        # Where the ranks meet, as with the agent of torchrun: nobody else can take the port in between.
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        with TemporaryDirectory() as folder:
            said = [*map(str, words)]
            job = {"words": said, "world": world, "port": store.port, "folder": folder}
            print(json.dumps(job), file=self._server.stdin, flush=True)
            code = json.loads(self._server.stdout.readline())
            written = ["".join(file.read_text() for file in sorted(Path(folder).glob(f"{n}.*"))) for n in (1, 2)]
        return subprocess.CompletedProcess(said, code, *written)


def serve() -> None:
    """Fork the ranks of each job that comes; answer with the exit code."""
    import shared_training  # noqa: F401
    import torch._dynamo  # noqa: F401

    import vdd_ros.cli.main  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        ranks = {_fork(rank, **job) for rank in range(job["world"])}
        first = 0
        while ranks:
            pid, status = os.wait()
            ranks.discard(pid)
            if status and not first:
                first = os.waitstatus_to_exitcode(status)
                for other in ranks:
                    os.kill(other, signal.SIGTERM)
        print(json.dumps(first), flush=True)


def _fork(rank: int, words: list[str], world: int, port: int, folder: str) -> int:
    """Start a rank, whose outputs go to `1.RANK` and `2.RANK` in the folder; returns its process."""
    if pid := os.fork():
        return pid
    code: object = 1
    try:
        for stream in (1, 2):
            os.dup2(os.open(f"{folder}/{stream}.{rank}", os.O_CREAT | os.O_WRONLY), stream)
        if world > 1:
            meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
            place = {"RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world}
            os.environ |= {name: str(value) for name, value in {**meeting, **place}.items()}
        code = _command(*words)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _command(name: str, *words: str) -> int:
    if name == "vdd":
        from vdd_ros.cli.main import main

        return main(list(words))
    import shared_training

    shared_training.main(words[0], words[1], *map(Path, words[2:]))
    return 0


if __name__ == "__main__":
    serve()
