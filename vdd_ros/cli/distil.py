"""`vdd distil`: a policy that acts in one pass, from a teacher (VDD, CD, CTM) or from demonstrations (EM, IMC)."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vdd_ros.cli.options import config_from_options, refuse_foreign_options
from vdd_ros.cli.training_run import add_run_options, given_preset, run_and_report, tell_small_deviations
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.methods.configs import ConsistencyConfig, DistilConfig, MixtureFitConfig
from vdd_ros.learning.methods.presets import Kind

if TYPE_CHECKING:
    from vdd_ros.learning.fit.checkpoint import Card

HELP = "make a policy that acts in one pass: VDD and its rivals"


@dataclass(frozen=True)
class Method:
    """A way to a one-step policy.

    Attributes:
        config: Its settings.
        presets: Where its settings by name are.
        teacher: Whether it is made of a teacher; else it learns from demonstrations alone.
    """

    config: type[Any]
    presets: Kind
    teacher: bool


METHODS = {
    "vdd": Method(DistilConfig, "distil", teacher=True),
    "cd": Method(ConsistencyConfig, "consistency", teacher=True),
    "ctm": Method(ConsistencyConfig, "consistency", teacher=True),
    "em": Method(MixtureFitConfig, "mixture", teacher=False),
    "imc": Method(MixtureFitConfig, "mixture", teacher=False),
}
CONFIGS = (DistilConfig, ConsistencyConfig, MixtureFitConfig)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `vdd distil`."""
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="vdd",
        help="of a teacher: variational diffusion distillation, consistency distillation, consistency trajectory "
        "models; of demonstrations: expectation maximisation, information maximising curriculum (default: vdd)",
    )
    parser.add_argument("--teacher", type=Path, metavar="DIR", help="checkpoint folder of the teacher")
    parser.add_argument(
        "--demos", type=Path, metavar="DIR", help="demonstrations (default: those that the teacher's folder links to)"
    )
    add_run_options(parser, "distil", *CONFIGS)


def run(args: argparse.Namespace) -> int:
    """Make the policy, then report."""
    method = METHODS[args.method]
    refuse_foreign_options(args.method, method.config, CONFIGS, args)
    base: dict[str, Any] = given_preset(method.presets, args)
    if method.config is not DistilConfig:
        base["method"] = args.method
    config = config_from_options(method.config, args, **base)
    demonstrations = _demonstrations(args, method)
    if not method.teacher:
        tell_small_deviations(demonstrations, config.least_deviation)
    return run_and_report(args, lambda: _make(args, demonstrations, config))


def _make(args: argparse.Namespace, demonstrations: DemonstrationSet, config: Any) -> "Card":
    """Train with the method of a configuration."""
    from vdd_ros.learning.methods.consistency import distil_consistency
    from vdd_ros.learning.methods.maximum_likelihood import fit_mixture
    from vdd_ros.learning.methods.vdd import distil

    if isinstance(config, MixtureFitConfig):
        return fit_mixture(demonstrations, args.out, config, args.resume, args.force)
    if isinstance(config, ConsistencyConfig):
        return distil_consistency(args.teacher, demonstrations, args.out, config, args.resume, args.force)
    return distil(args.teacher, demonstrations, args.out, config, args.resume, args.force)


def _demonstrations(args: argparse.Namespace, method: Method) -> DemonstrationSet:
    if not method.teacher:
        if args.teacher is not None:
            raise ConfigurationError(f"--teacher: '{args.method}' learns from demonstrations; give --demos alone")
        if args.demos is None:
            raise ConfigurationError(f"'{args.method}' learns from demonstrations: name them with --demos DIR")
        return DemonstrationSet.load(args.demos)
    if args.teacher is None:
        raise ConfigurationError(f"'{args.method}' distils a teacher: name its checkpoint folder with --teacher DIR")
    if args.demos is not None:
        return DemonstrationSet.load(args.demos)
    from vdd_ros.learning.fit.data_link import load_linked
    from vdd_ros.learning.methods.teacher import load_teacher

    load_teacher(args.teacher)  # that there is no teacher would be the better message
    return load_linked(args.teacher)
