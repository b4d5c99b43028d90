"""User-facing summary of an exported policy."""

from pathlib import Path

from vdd_ros.learning.fit.windows import small_deviations
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.policy.spec_settings import PREFIX
from vdd_ros.text import printable


def export_warnings(spec: PolicySpec, checkpoint: Path) -> list[str]:
    """Return warnings about the training for users of the file, a sentence each."""
    found = [f"{warning}." for warning in spec.warnings]
    if _interrupted(spec):
        found.append(
            f"the training of '{checkpoint}' stopped after {_steps(spec)}. Finish it with --resume and export again, "
            "unless this is intended."
        )
    return found + small_deviations(spec.vector, spec.statistics.observation_std)


def _interrupted(spec: PolicySpec) -> bool:
    steps = spec.settings.get("steps")
    return isinstance(steps, int) and spec.settings["steps_done"] < steps


def _steps(spec: PolicySpec) -> str:
    """Return the number of completed steps in words, with the total if it differs."""
    done = f"{spec.settings['steps_done']:,}"
    return f"{done} of {spec.settings['steps']:,} steps" if _interrupted(spec) else f"{done} steps"


def _training(spec: PolicySpec) -> str:
    if isinstance(program := spec.settings.get("imported_from"), str):
        return f"by {printable(program, 40)}"
    return _steps(spec) + (", interrupted" if _interrupted(spec) else "")


def export_table(spec: PolicySpec, file: Path, threads: str) -> str:
    """Return the table of a policy file; `threads` says with how many it was exported, and why."""
    parity = spec.parity
    same = f"at most {parity.max_error:.2g} standard deviations from torch over {parity.samples} samples"
    rows = {
        "method": f"{spec.method}, {_inside(spec)}",
        "training": _training(spec),
        "draws": _draws(spec),
        **({"prefix": _prefix(spec)} if spec.takes_prefix else {}),
        "size": f"{file.stat().st_size / 1e6:.2f} MB",
        "window": f"{spec.history} observations in, {spec.horizon} actions out, {spec.rate_hz:.4g} Hz",
        "parity": same,
        "novelty": _bound(spec),
        "threads": threads,
        **{f"limits {entry.name}": f"{entry.low:.4g} to {entry.high:.4g} {entry.unit}" for entry in spec.action},
    }
    width = 2 + max(map(len, rows))
    return "\n".join([f"{file}", *(f"  {name:<{width}}{text}" for name, text in rows.items())])


def _draws(spec: PolicySpec) -> str:
    if not spec.is_deterministic:
        return "inputs of the graph"
    return "none: the likeliest expert, its mean" if spec.is_mixture else "none: one noise, kept in the file"


def _prefix(spec: PolicySpec) -> str:
    tempering = spec.settings[PREFIX]["tempering"]
    return f"up to {spec.horizon} first actions may be given, tempering {tempering:g}"


def _bound(spec: PolicySpec) -> str:
    novelty = spec.novelty
    if novelty is None:
        return "unknown"
    share = f"{100 * (1 - novelty.quantile):.3g} % of the demonstrated observations"
    return f"above {novelty.bound:.3g} nats for {share}, {novelty.components} components"


def _inside(spec: PolicySpec) -> str:
    if spec.is_mixture:
        return f"{spec.experts} experts, {spec.covariance} covariance"
    return f"{spec.sampling_steps} sampling steps" if spec.sampling_steps else "one pass"
