"""The demo: a simulated robot, a commanding policy and a shadow, recorded and compared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from vdd_ros import resources
from vdd_ros.console import show
from vdd_ros.demo.episodes import DemoRecord, EpisodeSummary, read_demo
from vdd_ros.demo.result_folder import REPORT, VIDEO, result_folder
from vdd_ros.demo.run import Run, execute, plan
from vdd_ros.documents import JsonObject, write_json
from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.evaluation.latency.report import Report, make_report
from vdd_ros.evaluation.latency.tables import format_report
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.running.signals import interruptible_once
from vdd_ros.tasks import SHIPPED_TASK, Task, get_task
from vdd_ros.tasks.encoding import check_video
from vdd_ros.text import printable

SHADOWS = {"student": "teacher", "teacher": "student"}
MADE_BY = "vdd demo"
MOST_EPISODES, MOST_SPEED = 1_000_000, 1000


class _Outcome(TypedDict, total=False):
    reason: str
    commander: str
    successes: int
    episodes: list[EpisodeSummary]
    modes: list[int]
    missing: list[str]
    latency: JsonObject


class DemoReport(_Outcome):
    """Content of `report.json` of a demo.

    Attributes:
        made_by: The command.
        status: `passed`, `failed` or `interrupted`.
        policies: Node to policy file.
        reason: Why the demo failed; absent unless a node or a file failed. The fields below are absent then.
        commander: Node that commanded.
        successes: Number of successful episodes.
        episodes: Result of each episode.
        modes: The different modes of the successful episodes.
        missing: A text for each gap in the record.
        latency: The keys of `Report.to_dict`.
    """

    made_by: str
    status: str
    policies: dict[str, str]


@dataclass(frozen=True)
class Demo:
    """Settings of a demo.

    Attributes:
        out: Folder of the results.
        files: Node to policy file; the first one commands.
        episodes: Number of episodes, above 0.
        seed: Seed of policies and simulation.
        speed: Simulated seconds a second, above 0.
        repeats: Rounds of every policy alone and all together; 0: only together, once.
        task: Task of the simulated robot.
        video: Film the episodes too.
    """

    out: Path
    files: dict[str, Path]
    episodes: int
    seed: int
    speed: float
    repeats: int
    task: str = SHIPPED_TASK
    video: bool = False

    def __post_init__(self) -> None:
        for name, most in (("episodes", MOST_EPISODES), ("speed", MOST_SPEED)):
            if not 0 < getattr(self, name) <= most:
                raise ConfigurationError(f"--{name} is {getattr(self, name)}; it must be above 0, at most {most:,}")
        if self.repeats < 0:
            raise ConfigurationError(f"--repeats is {self.repeats}; it must be 0 or more")

    def check_files(self) -> None:
        """Check that everything named exists.

        Raises:
            ConfigurationError: A policy file does not exist.
            TaskError: There is no such task, it has no robot file or no picture, or it cannot be simulated here.
            ModuleNotFoundError: A video is requested, and PyAV is not installed.
        """
        if self.video:
            check_video("--video", self.out / VIDEO)
        task = get_task(self.task)
        task.get_robot_file()
        task.get_scene()
        task.make_sim(1)  # refuses a machine without its physics
        for name, file in self.files.items():
            if not file.is_file():
                option = "shadow" if name.startswith("shadow_") else name
                raise ConfigurationError(
                    f"the policy file {file} of the {name} does not exist; give one: --{option} FILE"
                )

    def plan(self) -> tuple[list[Run], list[Run]]:
        """Return the runs in order, and those of them in which all policies run together."""
        return plan(
            self.out,
            self.files,
            repeats=self.repeats,
            episodes=self.episodes,
            seed=self.seed,
            speed=self.speed,
            task=self.task,
        )


def policy_files(
    policy: str = "student",
    student: Path | None = None,
    teacher: Path | None = None,
    shadows: Sequence[Path] = (),
    task: str = SHIPPED_TASK,
) -> dict[str, Path]:
    """Return node to policy file, the commanding one first.

    Args:
        policy: The policy that commands: `student`, `teacher` or a file. The teacher shadows it, or the student shadows
            the teacher.
        student: Policy file, or None for the shipped one.
        teacher: Policy file, or None for the shipped one.
        shadows: Further shadow policy files, as nodes shadow_1, shadow_2, …
        task: Task of the shipped policies.

    Raises:
        ConfigurationError: A policy is not given, and none ships for the task.
    """
    given = {"student": student, "teacher": teacher}
    first = policy if policy in given else "policy"
    second = SHADOWS.get(first, "teacher")
    pair = {name: given.get(name) or _shipped(task, name) for name in (first, second) if name in given}
    more = {f"shadow_{number}": file for number, file in enumerate(shadows, start=1)}
    return {first: Path(policy), **pair, **more}


def _shipped(task: str, name: str) -> Path:
    try:
        return resources.path(f"models/{task}_{name}.onnx")
    except ConfigurationError as error:
        raise ConfigurationError(
            f"no {name} of the task '{printable(task)}' ships with vdd_ros; give one: --{name} FILE"
        ) from error


def run_demo(demo: Demo) -> DemoReport:
    """Run the demo, print its tables, write figures, a page and `report.json` into its folder.

    Returns:
        The content of `report.json`. Its status is `passed` if more than half of the episodes succeeded and no record
        is missing, otherwise `failed`.

    Raises:
        ConfigurationError: The folder holds anything other than results of this command.
        VddError: A node fails.
    """
    policies = {name: str(file) for name, file in demo.files.items()}
    report: DemoReport = {"made_by": MADE_BY, "status": "interrupted", "policies": policies}
    with result_folder(demo.out, MADE_BY):
        try:
            with interruptible_once():
                runs, together = demo.plan()
                for each in runs:
                    execute(each)
                passed = _report(demo, together, runs, report)
            report["status"] = "passed" if passed else "failed"
        except VddError as error:
            report["status"], report["reason"] = "failed", str(error)
            raise
        finally:
            write_json(demo.out / REPORT, report)
    return report


def _report(demo: Demo, together: list[Run], runs: list[Run], report: DemoReport) -> bool:
    """Read the bags, write figures and page, fill and print the report; return whether the demo passed."""
    from vdd_ros.evaluation.latency.figures import draw_figures
    from vdd_ros.evaluation.latency.page import write_page
    from vdd_ros.evaluation.latency.stage_figure import save_figure

    commander = next(iter(demo.files))
    bags = [run.bag for run in together] + [run.bag for run in runs if run not in together]
    found = make_report(bags, policies=list(demo.files.values()))
    task = get_task(demo.task)
    robot = RobotFile.load(task.get_robot_file())
    record = read_demo(bags[0], robot, task.spec, task.get_scene().position, commander)
    missing = found.gaps + _late(found)
    _print(found, record, commander, missing)
    report["commander"] = commander
    report["successes"] = record.successes
    report["episodes"] = record.results
    report["modes"] = record.modes
    report["missing"] = missing
    report["latency"] = found.to_dict()
    save_figure(demo.out / "latency.png", found.bags[0].nodes, found.bags[0].latency)
    _save_trajectories(demo.out / "trajectories.png", demo.task, record)
    if demo.video:
        _save_video(demo.out / VIDEO, task, record, demo.speed)
    write_page(demo.out / "report.html", found, draw_figures(found))
    show(_where(demo.out))
    return not missing and 2 * record.successes > len(record.results)


def _late(report: Report) -> list[str]:
    """Return a text for each record that lacks the first tick."""
    return [
        f"{bag.bag}: {node.node}: the record begins with {first}"
        for bag in report.bags
        for node in bag.nodes
        if (first := node.sequence.first)
    ]


def _print(report: Report, record: DemoRecord, commander: str, missing: list[str]) -> None:
    show(format_report(report))
    show(
        f"\nthe {commander} reached the goal in {record.successes} of {len(record.results)} episodes, "
        f"in {len(record.modes)} {'mode' if len(record.modes) == 1 else 'different modes'}"
    )
    show("\n".join(missing) if missing else "every tick is in the record")


def _where(out: Path) -> str:
    return f"see {out}/report.html, {out}/latency.png, {out}/trajectories.png, {out}/report.json and the bag {out}/bag"


def _save_trajectories(path: Path, task: str, record: DemoRecord) -> None:
    """Draw the paths over the task, coloured by expert."""
    from vdd_ros.tasks.render import save_trajectories

    title = f"{record.successes} of {len(record.results)} episodes reached the goal"
    save_trajectories(path, task, record.paths, record.experts, title=title)


def _save_video(path: Path, task: Task, record: DemoRecord, speed: float) -> None:
    """Film the robot as the bag has it, in rows by mode and one of failures; the first episodes of each.

    The simulated robot publishes its position in each control period, so the video is as fast as the demo.
    """
    from vdd_ros.tasks.video import COLUMNS, Clip, save_clips

    rows: dict[str, list[Clip]] = {}
    ended = zip(record.results, record.paths, strict=False)  # the path after the last result is not an episode
    for result, positions in sorted(ended, key=lambda one: (not one[0]["success"], one[0]["mode"] or 0)):
        mode = result["mode"]
        title = task.mode_name(mode) if result["success"] and mode is not None else "failures"
        if len(positions) and len(row := rows.setdefault(title, [])) < COLUMNS:
            row.append(Clip(positions[None], result["success"]))
    scene = replace(task.get_scene(), objects=())
    title = f"{record.successes} of {len(record.results)} episodes reached the goal"
    save_clips(path, scene, rows, rate_hz=task.spec.rate_hz, speed=speed, title=title)
