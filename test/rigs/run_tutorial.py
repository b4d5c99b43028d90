"""Runs the tutorial docs/your_robot.md as a user would, with all defaults, and keeps the results of its commands.

`python test/rigs/run_tutorial.py FOLDER` runs the page's `vdd` commands in a folder, one after the other; a second run
goes on after the last one that is done. FOLDER then has your_robot.json: the numbers of each command, and how long it
took. Commands that run until Ctrl-C on a robot are left out.
"""

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from checkout import CHECKOUT
from doc_commands import Command, commands

from vdd_ros.host.facts import machine_facts, runtime_versions

PAGE = CHECKOUT / "docs" / "your_robot.md"
RESULTS = "your_robot.json"
LABELS = {
    "bag example": "recordings",
    "train --demos": "teacher_training",
    "distil --teacher": "student_training",
    "evaluate arm_teacher.onnx": "teacher",
    "evaluate arm_student.onnx": "student",
    "run --robot": "run",
    "latency day_1": "latency",
}
"""Name in the results by the beginning of a command."""


def tutorial() -> list[Command]:
    """Return the commands of the page that end by themselves, in order."""
    shown = [command for command in commands(PAGE.read_text(encoding="utf-8"), PAGE.name) if command.words[0] == "vdd"]
    return [command for command in shown if command.words[1] != "run" or "--sim" in command.words]


def main() -> int:
    """Run what is left to do; stop at the first command that fails."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    taken: list[dict[str, object]] = read().get("commands", {}).get("taken", [])
    for command in tutorial()[len(taken) :]:
        words = list(command.words[1:])
        label = LABELS.get(" ".join(words[:2]))
        options = ["--append", RESULTS, "--label", label] if label else []
        print(f"== {shlex.join(command.words)}", flush=True)
        start = time.perf_counter()
        child = os.posix_spawn(sys.executable, [sys.executable, "-m", "vdd_ros.cli.main", *words, *options], os.environ)
        _, status, used = os.wait4(child, 0)
        if status:
            return 1
        seconds = {"seconds": time.perf_counter() - start, "cpu_s": used.ru_utime + used.ru_stime}
        taken.append({"command": shlex.join(command.words), **seconds})
        print(f"== {seconds['seconds']:.1f} s, {seconds['cpu_s']:.1f} s of CPU", flush=True)
        results = read() | {"commands": {"taken": taken, "machine": machine_facts(), "versions": runtime_versions()}}
        text = json.dumps(results, indent=2).replace(f"{folder}/", "")
        Path(RESULTS).write_text(text + "\n", encoding="utf-8")
    return 0


def read() -> dict[str, Any]:
    """Return the results so far."""
    file = Path(RESULTS)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
