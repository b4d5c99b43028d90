"""The time of one pass of policy files against that of other files: alternately, in one process and one thread."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError
from vdd_ros.evaluation.latency.summary import median_interval
from vdd_ros.host.facts import MachineFacts, RuntimeVersions, machine_facts, runtime_versions
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.onnx_session import OnnxModel, open_session
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.providers import ProviderSettings
from vdd_ros.policy.spec import PolicySpec
from vdd_ros.progress import each

ROUNDS, CALLS, WARM_UP = 60, 100, 10

Interval = tuple[float, float]


@dataclass(frozen=True)
class PassTime:
    """The passes of one file at batch 1.

    Attributes:
        file: Name of the file.
        sha256: Hash of the file.
        operators: Operators of a pass after ONNX Runtime's own optimisation.
        pass_s: Median over the rounds of each round's median time of a pass, s.
        pass_s_interval: 95 % interval of `pass_s`, s.
    """

    file: str
    sha256: str
    operators: int
    pass_s: float
    pass_s_interval: Interval


@dataclass(frozen=True)
class PassComparison:
    """A file against another.

    Attributes:
        policy, against: Their passes.
        ratio: Time of `policy` divided by that of `against`, median over the rounds.
        ratio_interval: 95 % interval of `ratio`.
        difference: Largest difference of their actions on the same random inputs, in standard deviations; None if they
            take different inputs.
    """

    policy: PassTime
    against: PassTime
    ratio: float
    ratio_interval: Interval
    difference: float | None


class PassRecord(TypedDict):
    """A comparison of policy files.

    Attributes:
        comparisons: One for each pair of files, in the order given.
        machine, versions: Machine and packages of the measurement.
    """

    comparisons: list[PassComparison]
    machine: MachineFacts
    versions: RuntimeVersions


def compare_passes(policies: list[Path], against: list[Path], rounds: int = ROUNDS) -> PassRecord:
    """Time each policy file against its counterpart, in alternation.

    Args:
        policies: Policy files.
        against: Their counterparts, in the same order.
        rounds: Number of rounds, each with `CALLS` passes of each file.

    Raises:
        ConfigurationError: The numbers of files differ, or `rounds` is below 1.
        PolicyFileError: A file is not a policy file.
    """
    if len(policies) != len(against) or rounds < 1:
        raise ConfigurationError(
            f"{len(policies)} policies against {len(against)} in {rounds} rounds cannot be compared; give as many "
            "files with --against as policies, and at least 1 round"
        )
    files = [PolicyFile.read(path) for path in (*policies, *against)]
    opened = [open_session(file, provider=ProviderSettings(), intra_op_threads=1, inter_op_threads=1) for file in files]
    bound = [_bound(one) for one in opened]
    times = _by_turns(bound, rounds)
    passes = [_pass_time(file, seconds) for file, seconds in zip(files, times, strict=True)]
    compared: list[PassComparison] = []
    for one in range(len(policies)):
        other = one + len(policies)
        ratios = np.sort(times[one] / times[other])
        difference = _difference(bound[one], bound[other], opened[other].spec)
        ratio = float(np.median(ratios))
        compared.append(PassComparison(passes[one], passes[other], ratio, median_interval(ratios), difference))
    return {"comparisons": compared, "machine": machine_facts(), "versions": runtime_versions()}


def table(found: PassRecord) -> str:
    """Return the result of `compare_passes` as rows of a table for a terminal."""
    rows = []
    for one in found["comparisons"]:
        low, high = one.ratio_interval
        same = "other inputs" if one.difference is None else f"actions differ by {one.difference:.2g} deviations"
        rows.append(f"{_row(one.policy)} against {_row(one.against)}")
        rows.append(f"  ratio {one.ratio:.3f} [{low:.3f}, {high:.3f}], {same}")
    return "\n".join(rows)


def _row(measured: PassTime) -> str:
    return f"{measured.file} {1e6 * measured.pass_s:.1f} us ({measured.operators} operators)"


def _bound(opened: OnnxModel) -> BoundArrays:
    """Bind arrays to a session and fill its inputs: observations around the mean, noise drawn as the node draws it."""
    bound = BoundArrays(opened.session, opened.spec, 1)
    _draw(bound, opened.spec, np.random.default_rng(0))
    return bound


def _draw(bound: BoundArrays, spec: PolicySpec, random: np.random.Generator) -> None:
    mean, deviation = (np.array(getattr(spec.statistics, f"observation_{name}")) for name in ("mean", "std"))
    for name, array in bound.inputs.items():
        drawn = random.random(array.shape) if name == "expert_uniform" else random.standard_normal(array.shape)
        array[:] = mean + deviation * drawn if name in ("observation", "goal") else drawn


def _by_turns(bound: list[BoundArrays], rounds: int) -> NDArray[np.float64]:
    """Return the median seconds of a pass in each round, (files, rounds)."""
    medians, taken = np.empty((len(bound), rounds)), np.empty(CALLS)
    for number in each(range(rounds), rounds, "passes", "round"):
        for index, one in enumerate(bound):
            for _ in range(WARM_UP):
                one.run()
            for call in range(CALLS):
                start = perf_counter()
                one.run()
                taken[call] = perf_counter() - start
            medians[index, number] = np.median(taken)
    return medians


def _pass_time(file: PolicyFile, seconds: NDArray[np.float64]) -> PassTime:
    interval = median_interval(np.sort(seconds))
    return PassTime(file.path.name, file.sha256, count_operators(file), float(np.median(seconds)), interval)


def count_operators(file: PolicyFile) -> int:
    """Count the operators that ONNX Runtime runs for a pass on the CPU, after its own optimisation."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that the file is for this machine alone
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
        return len(onnx.load(options.optimized_model_filepath).graph.node)


def _difference(one: BoundArrays, other: BoundArrays, spec: PolicySpec, samples: int = 100) -> float | None:
    """Return the largest difference of actions on the same inputs, in standard deviations; None for other inputs."""
    forms = [{name: (array.shape, array.dtype) for name, array in bound.inputs.items()} for bound in (one, other)]
    if forms[0] != forms[1]:
        return None
    random, largest = np.random.default_rng(1), 0.0
    for _ in range(samples):
        _draw(one, spec, random)
        for name, array in one.inputs.items():
            other.inputs[name][:] = array
        one.run()
        other.run()
        apart = np.abs(one.outputs["action"] - other.outputs["action"]) / np.array(spec.statistics.action_std)
        largest = max(largest, float(apart.max()))
    return largest
