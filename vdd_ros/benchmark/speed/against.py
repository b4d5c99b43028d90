"""`vdd benchmark speed --against`: learning speed of this checkout and another one, on equal data and cores.

A whole training takes minutes to an hour, and a comparison needs many. So it measures results and times separately:

- Results: each checkout trains a teacher and distils it, by its own defaults and to the end, and exports and evaluates
  both. Only processor time is measured, so that checkouts and seeds run side by side, in one thread each.
- Times: short trainings in alternation, alone or beside the wanted number of busy neighbours. The steps after the first
  logged one determine the time of a step; the rest of the run is the start (loading, the pool of teacher actions). A
  whole training takes start + steps * step, with the steps of the results.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vdd_ros.benchmark.checkouts import Checkout, Processes, busy_neighbours
from vdd_ros.benchmark.speed.comparison import CASES, Case, ComparisonRecord, Result, Timing
from vdd_ros.console import tell
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import read_json, write_json
from vdd_ros.errors import ConfigurationError, ProcessError
from vdd_ros.host.facts import machine_facts
from vdd_ros.host.threads import usable_cores
from vdd_ros.learning.fit.figure import wall_times

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
FIRST_LOGGED = 50
"""The first step whose end every version logs."""


@dataclass(frozen=True)
class CheckoutComparison:
    """The settings of a comparison.

    Attributes:
        task: Name of the task.
        backbone: Backbone of all networks.
        demonstrations: Folder of the demonstrations.
        work: Folder of checkpoints, and of the records of finished parts.
        seeds: Number of seeds of the whole trainings.
        repeats: Number of times that each timed training is repeated, at most `seeds`; None for `seeds`.
        rollouts: Episodes that judge each model.
        steps: Training steps of each judged model; None for the default of each checkout.
        timed_steps: Steps of each timed training, more than `FIRST_LOGGED`.
        busy: Busy processes beside the timed trainings, which are also timed without them; 0 for none.
    """

    task: str
    backbone: str
    demonstrations: Path
    work: Path
    seeds: int = 1
    repeats: int | None = None
    rollouts: int = 480
    steps: int | None = None
    timed_steps: int = 150
    busy: int = 0

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigurationError: A number is out of its range; the message names its option.
        """
        if self.timed_steps <= FIRST_LOGGED:
            raise ConfigurationError(f"--timed-steps is {self.timed_steps}; it must be above {FIRST_LOGGED}")
        if self.busy < 0:
            raise ConfigurationError(f"--busy is {self.busy}; it must be at least 0")
        if not 1 <= self.timings <= self.seeds:
            raise ConfigurationError(
                f"--repeats is {self.timings}; it must be from 1 to --seeds, which is {self.seeds}: a student is timed "
                "with the teacher of its seed"
            )

    @property
    def timings(self) -> int:
        """How often each timed training is repeated."""
        return self.seeds if self.repeats is None else self.repeats

    def neighbours(self, case: Case) -> tuple[int, ...]:
        """Return the numbers of busy processes beside which a case is timed."""
        return (0, self.busy) if self.busy and case.busy_goal is not None else (0,)


def compare_checkouts(other: Path, demonstrations: Path, work: Path, **settings: Any) -> ComparisonRecord:
    """Compare the checkout that this code belongs to with another one.

    Finished parts stay in a folder of `work` whose name is a hash of settings, data and sources. After an interruption,
    the same call continues there; once the comparison is complete, it only reports it.

    Args:
        other: Folder of the other checkout.
        demonstrations: Folder of the demonstrations.
        work: Folder for checkpoints and records.
        **settings: Further fields of `CheckoutComparison`.

    Raises:
        ConfigurationError: `other` is not a checkout, or a number is out of its range.
        DemonstrationError: The data cannot be read.
        ProcessError: A command failed.
    """
    processes = Processes()
    this = Checkout.of("this", Path(__file__).parents[3], processes)
    against = Checkout.of("other", other, processes)
    given = {name: settings[name] for name in sorted(settings)}
    data = DemonstrationSet.load(demonstrations).sha256
    identity = json.dumps([given, data, this.sha256, against.sha256])
    folder = work.resolve() / f"against-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    tell(f"speed: in {folder}; remove it to measure again")
    comparison = CheckoutComparison(demonstrations=demonstrations.resolve(), work=folder, **settings)
    return run_comparison(comparison, this, against, tell)


def run_comparison(
    comparison: CheckoutComparison, this: Checkout, other: Checkout, report: Callable[[str], None] = lambda text: None
) -> ComparisonRecord:
    """Measure results and times of both checkouts, except for the parts that `comparison.work` already holds.

    Args:
        comparison: Settings.
        this: This checkout.
        other: The checkout to compare it with.
        report: Called with a line for each part, as it begins or is found.

    Raises:
        ProcessError: A command failed.
    """
    runner = _Runner(comparison, report)
    sides = this, other
    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        try:
            chains = [pool.submit(runner.judge, side, seed) for seed in range(comparison.seeds) for side in sides]
            ended, _ = wait(chains, return_when=FIRST_EXCEPTION)
            for chain in [*ended, *chains]:
                chain.result()
        except BaseException:
            for side in sides:
                side.processes.stop()
            raise
    for number in range(comparison.timings):
        for case in CASES:
            for busy in comparison.neighbours(case):
                for side in sides if number % 2 == 0 else sides[::-1]:
                    runner.time(side, case, number, busy)
    return ComparisonRecord.of(
        {name: value for name, value in asdict(comparison).items() if not isinstance(value, Path)},
        {**machine_facts()},
        {side.name: runner.results[side.name] for side in sides},
        {side.name: runner.timings[side.name] for side in sides},
    )


class _Runner:
    """Runs the commands of a comparison and keeps the record of each."""

    def __init__(self, comparison: CheckoutComparison, report: Callable[[str], None]) -> None:
        self.results: dict[str, dict[str, list[Result]]] = {}
        self.timings: dict[str, dict[str, dict[int, list[Timing]]]] = {}
        for side in ("this", "other"):
            self.results[side] = {case.name: [] for case in CASES}
            self.timings[side] = {case.name: {} for case in CASES}
        self._comparison, self._report, self._begun = comparison, report, 0
        judged = comparison.seeds * sum(case.judged for case in CASES)
        timed = comparison.timings * sum(len(comparison.neighbours(case)) for case in CASES)
        self._items = 2 * (judged + timed)

    def judge(self, side: Checkout, seed: int) -> None:
        """Train a teacher and its student by a checkout's defaults, in one thread, and evaluate both."""
        folder = self._folder(side, seed)
        for case in CASES:
            if not case.judged:
                continue
            record = folder / f"{case.name}.result.json"
            if self._begins(f"{case.title}, whole, seed {seed}, {side.name}", record):
                out, figures = folder / case.name, folder / f"{case.name}.training.json"
                shutil.rmtree(out, ignore_errors=True)
                steps = [] if self._comparison.steps is None else ["--steps", str(self._comparison.steps)]
                spent = side.run([*self._words(case, folder, out, seed), *steps, "--json", figures], ONE_THREAD)
                made = int(_read(figures)["steps"])
                success, entropy = side.score(out, self._comparison.rollouts, seed, ONE_THREAD)
                write_json(record, asdict(Result(made, spent.cpu_s, success, entropy)))
            self.results[side.name][case.name].append(Result(**_read(record)))

    def time(self, side: Checkout, case: Case, number: int, busy: int) -> None:
        """Time a short training of a case beside `busy` neighbours."""
        folder = self._folder(side, number)
        beside = f"beside {busy} busy" if busy else "alone"
        record = folder / f"{case.name}.time_{busy}.json"
        if self._begins(f"{case.title}, {beside}, number {number}, {side.name}", record):
            self._need_teacher(side, case, folder, number)
            out = folder / f"{case.name}_timed"
            shutil.rmtree(out, ignore_errors=True)
            words = [*self._words(case, folder, out, number), "--steps", str(self._comparison.timed_steps)]
            with busy_neighbours(busy):
                spent = side.run(words)
            write_json(record, asdict(Timing.of(spent.wall_s, self._comparison.timed_steps, wall_times(out))))
            shutil.rmtree(out, ignore_errors=True)
        found = Timing(**_read(record))
        self.timings[side.name][case.name].setdefault(busy, []).append(found)

    def _folder(self, side: Checkout, seed: int) -> Path:
        folder = self._comparison.work / side.name / str(seed)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _begins(self, title: str, record: Path) -> bool:
        self._begun += 1
        known = record.is_file()
        self._report(f"speed: {self._begun} of {self._items}: {title}{' (finished before)' if known else ''}")
        return not known

    def _need_teacher(self, side: Checkout, case: Case, folder: Path, seed: int) -> None:
        """Train a teacher of one step where a case needs one that is not judged: its time does not depend on it."""
        if case.teacher is None or any(one.name == case.teacher for one in CASES):
            return
        out, ended = folder / case.teacher, folder / f"{case.teacher}.json"
        if not ended.is_file():
            shutil.rmtree(out, ignore_errors=True)
            side.run([*self._teacher(out, seed, case.horizon), "--steps", "1", "--json", ended])

    def _words(self, case: Case, folder: Path, out: Path, seed: int) -> list[str | Path]:
        if case.teacher is None:
            return self._teacher(out, seed, case.horizon)
        words: list[str | Path] = ["distil", "--teacher", folder / case.teacher, *case.options]
        return [*words, "--backbone", self._comparison.backbone, "--seed", str(seed), "--out", out]

    def _teacher(self, out: Path, seed: int, horizon: int) -> list[str | Path]:
        given = self._comparison
        words: list[str | Path] = ["train", "--task", given.task, "--demos", given.demonstrations, "--teacher", "beso"]
        return [*words, "--horizon", str(horizon), "--backbone", given.backbone, "--seed", str(seed), "--out", out]


def _read(file: Path) -> dict[str, Any]:
    """Read a JSON object; raises ProcessError if the file holds none."""
    content = read_json(file, ProcessError)
    if not isinstance(content, dict):
        raise ProcessError(f"{file} holds no JSON object; remove it and run the comparison again")
    return content
