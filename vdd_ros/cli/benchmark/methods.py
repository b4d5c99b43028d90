"""`vdd benchmark methods`: every method on the same tasks, in one resumable command, with tables and figures."""

import argparse
from pathlib import Path

from vdd_ros.benchmark.markdown_block import check_block
from vdd_ros.benchmark.methods.data_names import STATE, expand_names
from vdd_ros.benchmark.methods.matrix import ABLATIONS, METHODS, UPDATES, Trial, expand, expand_variants, unique
from vdd_ros.benchmark.methods.report import BEGIN, END, update_page, write_report
from vdd_ros.benchmark.methods.results import read_results
from vdd_ros.cli.numbers import TRAINING_STEPS, Whole
from vdd_ros.cli.options import BACKBONES, add_worker_options
from vdd_ros.cli.threads import add_thread_option, settle_worker_threads
from vdd_ros.console import show, tell
from vdd_ros.documents import write_json
from vdd_ros.evaluation.compatibility import task_of
from vdd_ros.places import OutputFile, OutputFolder, check_file, check_folder
from vdd_ros.tasks import SHIPPED_TASK, task_names

HELP = "compare all methods on the same tasks: success, diversity and inference time"
_SEEDS = Whole(most=1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd benchmark methods`."""
    names = f"{', '.join(task_names())}, TASK:STYLE for another style of demonstrations, or {STATE} for the paper's"
    names += f" state-based tasks (default: that of --demos, else {SHIPPED_TASK})"
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help=names)
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["all"],
        choices=["all", "none", *METHODS],
        metavar="METHOD",
        help=f"all, none or some of {', '.join(METHODS)} (default: all)",
    )
    parser.add_argument("--seeds", type=_SEEDS, default=3, help="seeds of all except teachers (default: %(default)s)")
    parser.add_argument("--backbone", choices=BACKBONES, help="(default: that of the task's default preset, else gpt)")
    parser.add_argument("--ablations", action="store_true", help="also run the ablations of VDD")
    updates = f"also compare updates, gating data and weights of VDD: some of {', '.join(UPDATES)} (none named: all)"
    parser.add_argument("--updates", nargs="*", choices=UPDATES, metavar="UPDATE", help=updates)
    parser.add_argument("--ablation-backbone", choices=BACKBONES, default="mlp", help="(default: %(default)s)")
    parser.add_argument("--ablation-seeds", type=_SEEDS, default=1, metavar="SEEDS", help="(default: %(default)s)")
    parser.add_argument("--rollouts", type=Whole(), default=480, help="episodes of each trial (default: %(default)s)")
    parser.add_argument("--steps", type=TRAINING_STEPS, help="of every training, for a quick try (default: as usual)")
    parser.add_argument(
        "--demos", type=Path, metavar="PATH", help="demonstrations of the task (default: made as by vdd demos)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: %(default)s)")
    add_worker_options(parser)
    add_thread_option(parser)
    work = "checkpoints and policies (default: %(default)s)"
    parser.add_argument("--work", type=OutputFolder, default="runs/benchmark", metavar="DIR", help=work)
    parser.add_argument(
        "--results",
        type=OutputFile,
        metavar="FILE",
        help="JSON list that finished trials are added to (default: results/benchmark.json; with --steps, "
        "benchmark.json in --work)",
    )
    parser.add_argument(
        "--report", type=OutputFolder, metavar="DIR", help="folder of tables and figures (default: that of the results)"
    )
    parser.add_argument("--docs", type=OutputFile, metavar="FILE", help="Markdown page with a marked block for tables")
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers of all tables as JSON")
    parser.add_argument("--report-only", action="store_true", help="only rebuild tables and figures from the results")


def run(args: argparse.Namespace) -> int:
    """Run unfinished trials, measure times, report; return 1 if a trial failed."""
    results = args.results or (args.work / "benchmark.json" if args.steps else Path("results/benchmark.json"))
    report = args.report or results.parent
    args.tasks = expand_names(args.tasks or [task_of(args.demos)], args.demos)
    _check_arguments(args, results, report)
    code = 0 if args.report_only else _run_trials(args, results)
    records = read_results(results)
    show(write_report(records, report))
    if args.docs is not None:
        update_page(args.docs, records, report)
    if args.json is not None:
        write_json(args.json, records)
    return code


def _check_arguments(args: argparse.Namespace, results: Path, report: Path) -> None:
    """Refuse early what would fail later."""
    check_file("--results", results)
    check_folder("--report", report)
    if args.docs is not None:
        check_block(args.docs, BEGIN, END)
    read_results(results)


def _trials(args: argparse.Namespace) -> list[Trial]:
    methods = METHODS if "all" in args.methods else [name for name in args.methods if name != "none"]
    updates = () if args.updates is None else args.updates or UPDATES
    variants = [*(ABLATIONS if args.ablations else ()), *updates]
    varied = expand_variants(args.tasks, variants, args.ablation_seeds, args.ablation_backbone) if variants else []
    return unique([*expand(args.tasks, methods, args.seeds, args.backbone), *varied])


def _run_trials(args: argparse.Namespace, results: Path) -> int:
    from vdd_ros.benchmark.methods.runner import Runner
    from vdd_ros.benchmark.methods.suite import find_demonstrations, measure_latency, run_trials
    from vdd_ros.locks import holding
    from vdd_ros.workers import workers

    settle_worker_threads(args)
    with holding(args.work):
        with workers(args.jobs, args.ray, gpus=args.device != "cpu", threads=args.threads) as pool:
            data = find_demonstrations(args.tasks, args.demos, args.work, pool)
            runner = Runner(args.work.resolve(), data, args.rollouts, args.steps, args.device)
            failed = run_trials(_trials(args), runner, results, pool)
        measure_latency(runner, results)
    for reason in dict.fromkeys(failed.values()):
        tell(f"failed: {reason}")
    return 1 if failed else 0
