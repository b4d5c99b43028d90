"""`vdd benchmark`: every method on the same tasks, in one resumable command, with tables and figures in the end."""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from vdd_ros.benchmark.markdown_block import check_block
from vdd_ros.benchmark.methods.locks import holding
from vdd_ros.benchmark.methods.matrix import METHODS, Cell, expand, expand_ablations, unique
from vdd_ros.benchmark.methods.report import BEGIN, END, update_page, write_report
from vdd_ros.benchmark.methods.results import merge_results, read_results
from vdd_ros.benchmark.realtime import PARTS
from vdd_ros.cli import benchmark_pass
from vdd_ros.console import show, tell
from vdd_ros.documents import write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.places import OutputFile, OutputFolder, check_file, check_folder
from vdd_ros.tasks import task_names

if TYPE_CHECKING:
    from vdd_ros.benchmark.methods.maker import Maker
    from vdd_ros.data.demonstrations import DemonstrationSet

HELP = "run every method on the same tasks; tables and figures of success, diversity and speed"

BACKBONES = ("gpt", "mlp")
SUITES = ("methods", "realtime", "pass", "speed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark`."""
    parser.add_argument(
        "suite",
        nargs="?",
        default="methods",
        choices=SUITES,
        help="methods: success, diversity and speed of every method; realtime: the policy node at control rate "
        "(of the other options, --quick, --only, --results, --docs and --figure); pass: one pass of policy files "
        "(POLICY, --against, --rounds and --json); speed: how fast this checkout learns and another one (--against, "
        "--busy and --json, with --seeds, --backbone, --rollouts, --steps, --demos and --work) (default: %(default)s)",
    )
    benchmark_pass.add_arguments(parser)
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="speed: N processes beside it never rest")
    parser.add_argument("--quick", action="store_true", help="realtime: less than a minute, rough figures")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        metavar="PART",
        help=f"realtime: measure only some of {', '.join(PARTS)} again, and keep the rest of --results",
    )
    parser.add_argument("--figure", type=OutputFile, metavar="PNG", help="realtime: draw the figures")
    parser.add_argument("--tasks", nargs="+", default=["avoiding"], metavar="TASK", help=f"{', '.join(task_names())}")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["all"],
        choices=["all", "none", *METHODS],
        metavar="METHOD",
        help=f"all, none or some of {', '.join(METHODS)} (default: all)",
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds of all but the teachers (default: %(default)s)")
    parser.add_argument("--backbone", choices=BACKBONES, default="gpt", help="of all networks (default: %(default)s)")
    parser.add_argument("--ablations", action="store_true", help="run the ablations of VDD too")
    parser.add_argument("--ablation-backbone", choices=BACKBONES, default="mlp", help="(default: %(default)s)")
    parser.add_argument("--ablation-seeds", type=int, default=1, metavar="SEEDS", help="(default: %(default)s)")
    parser.add_argument("--speed", action="store_true", help="race the distillation against a straightforward loop")
    parser.add_argument(
        "--speed-steps", type=int, default=1200, metavar="STEPS", help="expert steps of each (default: %(default)s)"
    )
    parser.add_argument(
        "--speed-rates",
        type=float,
        nargs="+",
        metavar="RATE",
        help="learning rates of the straightforward loop (default: the paper's, ours and one between them)",
    )
    parser.add_argument("--rollouts", type=int, default=480, help="episodes of each cell (default: %(default)s)")
    parser.add_argument("--steps", type=int, help="training steps of every model, for a quick try (default: as usual)")
    parser.add_argument(
        "--demos", type=Path, metavar="DIR", help="demonstrations of the one task (default: made as by vdd demos)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time (default: %(default)s)")
    parser.add_argument(
        "--work",
        type=OutputFolder,
        default="runs/benchmark",
        metavar="DIR",
        help="checkpoints and policies (%(default)s)",
    )
    parser.add_argument(
        "--results",
        type=OutputFile,
        metavar="FILE",
        help="JSON list of the cells (default: results/benchmark.json; with --steps, benchmark.json in --work)",
    )
    parser.add_argument(
        "--report", type=OutputFolder, metavar="DIR", help="folder of tables and figures (default: that of the results)"
    )
    parser.add_argument(
        "--docs", type=OutputFile, metavar="FILE", help="Markdown page whose marked block becomes the tables"
    )
    parser.add_argument("--report-only", action="store_true", help="run nothing; tables and figures of the results")


def run(args: argparse.Namespace) -> int:
    """Run what is not finished, measure times, report; return 1 if a cell failed."""
    if args.suite == "realtime":
        from vdd_ros.benchmark.realtime import suite

        return suite.run(args)
    if args.suite == "pass":
        return benchmark_pass.run(args)
    if args.suite == "speed":
        return _run_speed(args)
    _check_arguments(args)
    code = 0
    if not args.report_only:
        methods = METHODS if "all" in args.methods else [name for name in args.methods if name != "none"]
        cells = expand(args.tasks, methods, args.seeds, args.backbone)
        if args.ablations:
            cells += expand_ablations(args.tasks, args.ablation_seeds, args.ablation_backbone)
        code = _run_cells(args, unique(cells))
    if os.environ.get("RANK", "0") == "0":
        records = read_results(args.results)
        show(write_report(records, args.report))
        if args.docs is not None:
            update_page(args.docs, records, args.report)
    return code


def _run_speed(args: argparse.Namespace) -> int:
    """Let this checkout and another one learn by turns, and print the table."""
    from vdd_ros.benchmark.speed.against import Race, run_race, table
    from vdd_ros.benchmark.speed.checkouts import Checkout

    if len(args.against) != 1 or args.demos is None:
        raise ConfigurationError(
            "vdd benchmark speed compares checkouts on the same data: --against DIR and --demos DIR"
        )
    this, other = Checkout.of("this", Path(__file__).parents[2]), Checkout.of("other", args.against[0])
    args.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="speed_", dir=args.work) as folder:
        race = Race(
            args.tasks[0], args.backbone, args.demos.resolve(), Path(folder).resolve(), args.seeds, args.rollouts,
            args.steps, args.busy,
        )  # fmt: skip
        record = run_race(race, this, other, lambda text: tell(f"speed: {text}"))
    show(table(record))
    if args.json is not None:
        write_json(args.json, record)
    return 0


def _check_arguments(args: argparse.Namespace) -> None:
    """Fill in the paths that follow from others, and refuse what would fail only later."""
    for name in ("seeds", "ablation_seeds", "rollouts", "jobs"):
        if (value := getattr(args, name)) < 1:
            raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; it must be at least 1")
    if args.demos is not None and len(args.tasks) > 1:
        raise ConfigurationError("--demos holds the demonstrations of one task; give one task with it")
    if args.jobs > 1 and "RANK" in os.environ:
        raise ConfigurationError("--jobs starts processes, and so does torchrun (RANK is set); use one of them")
    if args.results is None:
        args.results = args.work / "benchmark.json" if args.steps else Path("results/benchmark.json")
    if args.report is None:
        args.report = args.results.parent
    check_file("--results", args.results)
    check_folder("--report", args.report)
    if args.docs is not None:
        check_block(args.docs, BEGIN, END)
    read_results(args.results)


def _run_cells(args: argparse.Namespace, cells: list[Cell]) -> int:
    """Make the cells together with other processes; the first of them then measures inference times."""
    if os.environ.get("RANK", "0") != "0":
        os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would overwrite another
    from vdd_ros.benchmark.methods.maker import Maker
    from vdd_ros.benchmark.methods.workers import Place, Progress, helpers, terminable, work_through

    place, progress = Place.of(os.environ), Progress()
    if args.jobs > 1:
        place = Place(0, args.jobs, 0, args.jobs)
    place.settle()
    with terminable():
        try:
            demonstrations = {task: _demonstrations(task, args) for task in args.tasks}
            maker = Maker(args.work, args.results, demonstrations, args.rollouts, args.steps, args.device)
            with helpers(args, args.jobs - 1):
                work_through(place.order(cells), maker, progress)
            if place.rank == 0:
                _measure_latency(maker)
                if args.speed:
                    show(_race(args, maker))
        except KeyboardInterrupt:
            done = f"{len(progress.finished)} of {len(cells)} cells"
            tell(f"{done} are finished; all is kept in {args.work}, the same command goes on")
            raise
    for reason in dict.fromkeys(progress.failed.values()):
        tell(f"failed: {reason}")
    # Every process knows every failure, but torchrun ends them all at the first code that is not 0.
    return 1 if progress.failed and place.rank == 0 else 0


def _demonstrations(task: str, args: argparse.Namespace) -> "DemonstrationSet":
    """Return the demonstrations of a task, made if none were given and they are missing."""
    from vdd_ros.cli import demos
    from vdd_ros.cli.train import fits
    from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
    from vdd_ros.tasks import get_task

    spec = get_task(task).spec
    folder = args.demos or args.work / "demos" / task
    if args.demos is None:
        with holding(folder.parent, wait=True):
            if not (folder / FILE_NAME).exists():
                demos.run(argparse.Namespace(task=task, out=folder, episodes=None, seed=0, force=False, json=None))
    demonstrations = DemonstrationSet.load(folder)
    fits(demonstrations.header, spec)
    return demonstrations


def _race(args: argparse.Namespace, maker: "Maker") -> str:
    """Race while no process is at a cell."""
    from vdd_ros.benchmark.speed.command import race

    with holding(maker.cells, wait=True):
        return race(maker, args.tasks[0], args.backbone, args.speed_steps, args.report, args.speed_rates)


def _measure_latency(maker: "Maker") -> None:
    """Measure the inference times of all cells of the results, while no process is at any other."""
    from vdd_ros.benchmark.methods.inference_times import measure_cells

    with holding(maker.cells) as quiet:
        if not quiet:
            tell("waiting until no other process is at a cell, to measure inference times")
    with holding(maker.cells, wait=True):
        folders = [maker.cells / record["key"] for record in read_results(maker.results)]
        merge_results(maker.results, measure_cells(folders))
