"""Small real policy files for tests, built node by node: linear functions whose answers numpy knows in closed form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from vdd_ros.features import Feature
from vdd_ros.policy.spec import METADATA_KEY, Parity, PolicySpec, Statistics
from vdd_ros.policy.spec_versions import SCHEMA_VERSION
from vdd_ros.policy.structure import DIFFUSION, MIXTURE, OLD_KINDS, ONE_STEP

Floats = NDArray[np.float64]

MIXTURES, DIFFUSIONS, ONE_STEPS = (
    tuple(method for method, structure in OLD_KINDS.items() if structure == wanted)
    for wanted in (MIXTURE, DIFFUSION, ONE_STEP)
)
"""Methods that ship, by the structure of what they make."""


def mixture_spec(**overrides: Any) -> PolicySpec:
    """Return the spec of a mixture with Avoiding's entries; any field can be overridden."""
    return _spec({"method": "vdd", "experts": 4, "covariance": "diagonal", "sampling_steps": None} | overrides)


def diffusion_spec(**overrides: Any) -> PolicySpec:
    """Return the spec of a diffusion policy with Avoiding's entries; any field can be overridden."""
    return _spec({"method": "ddpm", "experts": None, "covariance": None, "sampling_steps": 8} | overrides)


def _spec(values: dict[str, Any]) -> PolicySpec:
    defaults: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "structure": OLD_KINDS.get(values["method"]),
        "task": "avoiding",
        "observation": tuple(Feature(n, "m") for n in ("desired_x", "desired_y", "tcp_x", "tcp_y")),
        "action": tuple(Feature(n, "m", -0.01, 0.01) for n in ("delta_desired_x", "delta_desired_y")),
        "rate_hz": 1000 / 35,
        "history": 1,
        "horizon": 1,
        "goal_length": 0,
        "teacher_sha256": None,
        "data_sha256": None,
        "warnings": (),
        "seeds": {},
        "versions": {},
        "fidelity": {},
        "settings": {},
        "parity": Parity(0.0, 0, 0),
        "novelty": None,
    }
    values = defaults | values
    obs_dim, act_dim = sum(feature.is_scalar for feature in values["observation"]), len(values["action"])
    values.setdefault(
        "statistics",
        Statistics(
            observation_mean=tuple(np.linspace(0.1, 0.5, obs_dim).tolist()),
            observation_std=tuple(np.linspace(0.2, 0.4, obs_dim).tolist()),
            action_mean=tuple(np.linspace(-0.0005, 0.001, act_dim).tolist()),
            action_std=tuple(np.linspace(0.002, 0.003, act_dim).tolist()),
        ),
    )
    return PolicySpec(**values)


@dataclass(frozen=True)
class MixtureParameters:
    """The parameters of the mixture of `write_mixture`, in standardised units, and its closed forms in physical units.

    With x the standardised observations of history and goal in one vector and D = horizon * act_dim: the gating is
    softmax(x gating_weight + gating_bias), the mean of expert z is x mean_weight[z] + mean_bias[z], its Cholesky
    factor is cholesky[z] (D, D); not a triangular one if the covariances are diagonal in a basis.
    """

    spec: PolicySpec
    gating_weight: Floats
    gating_bias: Floats
    mean_weight: Floats
    mean_bias: Floats
    cholesky: Floats

    def gating(self, observation: Floats, goal: Floats | None = None) -> Floats:
        """Return the probabilities (experts,) at one observation (history, obs_dim) and goal (goal_length, obs_dim)."""
        logits = _standardise(self.spec, observation, goal) @ self.gating_weight + self.gating_bias
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())

    def means(self, observation: Floats, goal: Floats | None = None) -> Floats:
        """Return the means (experts, D) there, in physical units, not clipped."""
        x = _standardise(self.spec, observation, goal)
        mean, std = _action_moments(self.spec)
        return np.asarray(mean + std * (np.einsum("i,zij->zj", x, self.mean_weight) + self.mean_bias))

    def choleskys(self) -> Floats:
        """Return the factors of the covariances (experts, D, D) in physical units, lower triangular without a basis."""
        return _action_moments(self.spec)[1][:, None] * self.cholesky


def mixture_parameters(spec: PolicySpec, *, seed: int = 0) -> MixtureParameters:
    """Return the parameters that `write_mixture` puts into the file of this spec."""
    rng = np.random.default_rng(seed)
    experts = spec.experts or 0
    inputs, outputs = _input_dim(spec), spec.horizon * spec.act_dim
    cholesky = np.tile(np.diag(np.linspace(0.2, 0.4, outputs)), (experts, 1, 1))
    cholesky *= np.linspace(0.8, 1.2, experts)[:, None, None]
    if spec.covariance == "full":
        cholesky += np.tril(rng.uniform(-0.1, 0.1, cholesky.shape), -1)
    elif spec.covariance != "diagonal":
        cholesky = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(outputs, outputs))).Q @ cholesky
    return MixtureParameters(
        spec,
        gating_weight=rng.normal(0, 0.5, (inputs, experts)),
        gating_bias=rng.normal(0, 0.5, experts),
        mean_weight=rng.normal(0, 0.2, (experts, inputs, outputs)),
        mean_bias=rng.normal(0, 0.7, (experts, outputs)),
        cholesky=cholesky,
    )


def write_mixture(path: Path, *, nan_above: float | None = None, seed: int = 0, **overrides: Any) -> Path:
    """Write a mixture policy that keeps the whole contract of docs/policy_file.md.

    Args:
        path: Where to write.
        nan_above: The action is NaN where the first entry of the newest observation is above this.
        seed: Seed of the parameters.
        overrides: Fields of the spec, such as history, horizon, experts, covariance, action.
    """
    spec = mixture_spec(**overrides)
    parameters = mixture_parameters(spec, seed=seed)
    outputs = spec.horizon * spec.act_dim
    _, action_std = _action_moments(spec)
    inverse = np.linalg.inv(parameters.cholesky)
    log_norm = (
        -np.linalg.slogdet(parameters.cholesky).logabsdet - 0.5 * outputs * np.log(2 * np.pi) - np.log(action_std).sum()
    )
    graph = parser.parse_graph(f"""
    mixture ({_observed(spec)}, float[B, {spec.horizon}, {spec.act_dim}] noise,
             float[B] expert_uniform)
         => (float[B, {spec.horizon}, {spec.act_dim}] action, int64[B] expert, float[B, {spec.experts}] gating,
             float[B] log_prob{_novelty_output(spec)})
    {{
        {_standardising(spec)}
        {_FAULT}
        logits_free = MatMul(x, gating_weight)
        logits = Add(logits_free, gating_bias)
        gating = Softmax <axis = 1> (logits)
        log_gating = LogSoftmax <axis = 1> (logits)
        x_row = Unsqueeze(x, axes_12)
        means_row = MatMul(x_row, mean_weight)
        means_free = Squeeze(means_row, axis_2)
        means = Add(means_free, mean_bias)

        cdf = CumSum(gating, axis_1_scalar)
        u_column = Unsqueeze(expert_uniform, axis_1)
        passed = LessOrEqual(cdf, u_column)
        passed_int = Cast <to = 7> (passed)
        passed_count = ReduceSum <keepdims = 0> (passed_int, axis_1)
        sampled = Min(passed_count, last_expert)
        likeliest = ArgMax <axis = 1, keepdims = 0> (gating)
        code = Sub(minus_two, expert_uniform)
        named = Cast <to = 7> (code)
        is_named = Less(expert_uniform, minus_one_and_half)
        is_sampled = GreaterOrEqual(expert_uniform, zero)
        chosen = Where(is_named, named, likeliest)
        expert = Where(is_sampled, sampled, chosen)

        expert_column = Unsqueeze(expert, axis_1)
        mean_nd = GatherND <batch_dims = 1> (means, expert_column)
        factor = Gather <axis = 0> (cholesky, expert)
        noise_column = Reshape(noise, column_shape)
        offset_column = MatMul(factor, noise_column)
        offset = Squeeze(offset_column, axis_2)
        y = Add(mean_nd, offset)
        {_ACTION}
        {_novelty(spec)}

        centred = Sub(action, action_mean)
        acted = Div(centred, action_std)
        acted_flat = Reshape(acted, row_shape)
        difference = Sub(acted_flat, means)
        difference_row = Unsqueeze(difference, axis_2)
        white_row = MatMul(difference_row, inverse_transposed)
        square = ReduceSumSquare <axes = [2, 3], keepdims = 0> (white_row)
        exponent = Mul(square, minus_half)
        density = Add(exponent, log_norm)
        joint = Add(density, log_gating)
        log_prob = ReduceLogSumExp <axes = [1], keepdims = 0> (joint)
    }}""")
    constants = {
        "gating_weight": parameters.gating_weight,
        "gating_bias": parameters.gating_bias,
        "mean_weight": parameters.mean_weight,
        "mean_bias": parameters.mean_bias,
        "cholesky": parameters.cholesky,
        "inverse_transposed": inverse.transpose(0, 2, 1),
        "log_norm": log_norm,
        "zero": 0.0,
        "minus_half": -0.5,
        "minus_one_and_half": -1.5,
        "minus_two": -2.0,
        "last_expert": np.int64((spec.experts or 0) - 1),
        "axis_1_scalar": np.int64(1),
        "axis_1": np.array([1]),
        "axis_2": np.array([2]),
        "axes_12": np.array([1, 2]),
        "column_shape": np.array([-1, outputs, 1]),
        "row_shape": np.array([-1, 1, outputs]),
    }
    return _write(path, graph, spec, constants | _shared_constants(spec, nan_above))


@dataclass(frozen=True)
class DiffusionParameters:
    """The toy sampler of `write_diffusion`: each step brings the sample closer to a mean that is linear in x.

    One step is y <- m + contraction (y - m); after step k, noise_scale times draw k is added.
    """

    spec: PolicySpec
    weight: Floats
    bias: Floats
    contraction: float = 0.5
    noise_scale: float = 0.1

    def sample(self, observation: Floats, noise: NDArray[np.floating], goal: Floats | None = None) -> Floats:
        """Return the action (horizon, act_dim) in physical units, not clipped, for noise of the spec's shape."""
        mean = _standardise(self.spec, observation, goal) @ self.weight + self.bias
        draws = noise.reshape(self.spec.sampling_steps or 1, -1)
        sample = draws[0]
        for k in range(1, len(draws) + 1):
            sample = mean + self.contraction * (sample - mean)
            if k < len(draws):
                sample = sample + self.noise_scale * draws[k]
        action_mean, action_std = _action_moments(self.spec)
        return np.reshape(action_mean + action_std * sample, (self.spec.horizon, self.spec.act_dim))


def diffusion_parameters(spec: PolicySpec, *, seed: int = 0) -> DiffusionParameters:
    """Return the parameters that `write_diffusion` puts into the file of this spec."""
    rng = np.random.default_rng(seed)
    inputs, outputs = _input_dim(spec), spec.horizon * spec.act_dim
    return DiffusionParameters(spec, weight=rng.normal(0, 0.3, (inputs, outputs)), bias=rng.normal(0, 0.5, outputs))


def write_diffusion(
    path: Path, *, steps: int | None = 8, nan_above: float | None = None, seed: int = 0, **overrides: Any
) -> Path:
    """Write a diffusion policy with its whole sampler in the graph; the arguments are those of `write_mixture`.

    With `steps` None and a one-step kind it takes one step from noise without a dimension of steps.
    """
    spec = diffusion_spec(sampling_steps=steps, **overrides)
    parameters = diffusion_parameters(spec, seed=seed)
    steps = steps or 1
    outputs = spec.horizon * spec.act_dim
    chain = ["y_0 = Gather <axis = 1> (draws, step_0)"]
    for k in range(1, steps + 1):
        after = f"moved_{k}" if k < steps else "y"
        chain += [
            f"away_{k} = Sub(y_{k - 1}, target)",
            f"nearer_{k} = Mul(away_{k}, contraction)",
            f"{after} = Add(target, nearer_{k})",
        ]
        if k < steps:
            chain += [
                f"draw_{k} = Gather <axis = 1> (draws, step_{k})",
                f"scaled_{k} = Mul(draw_{k}, noise_scale)",
                f"y_{k} = Add(moved_{k}, scaled_{k})",
            ]
    graph = parser.parse_graph(f"""
    diffusion ({_observed(spec)}, float[B, {", ".join(map(str, spec.noise_shape))}] noise)
           => (float[B, {spec.horizon}, {spec.act_dim}] action{_novelty_output(spec)})
    {{
        {_standardising(spec)}
        {_FAULT}
        target_free = MatMul(x, weight)
        target = Add(target_free, bias)
        draws = Reshape(noise, draws_shape)
        {chr(10).join(chain)}
        {_ACTION}
        {_novelty(spec)}
    }}""")
    constants = {
        "weight": parameters.weight,
        "bias": parameters.bias,
        "contraction": parameters.contraction,
        "noise_scale": parameters.noise_scale,
        "draws_shape": np.array([-1, steps, outputs]),
    } | {f"step_{k}": np.int64(k) for k in range(steps)}
    return _write(path, graph, spec, constants | _shared_constants(spec, nan_above))


def write_policy(path: Path, method: str, **overrides: Any) -> Path:
    """Write a policy of the structure that a method makes; a diffusion policy takes 4 steps."""
    if method in MIXTURES:
        return write_mixture(path, method=method, **overrides)
    return write_diffusion(path, method=method, steps=4 if method in DIFFUSIONS else None, **overrides)


def replace_metadata(path: Path, text: str | None) -> Path:
    """Replace the policy metadata of a file by any text, or remove it."""
    model = onnx.load(path)
    del model.metadata_props[:]
    if text is not None:
        model.metadata_props.add(key=METADATA_KEY, value=text)
    onnx.save(model, path)
    return path


def _observed(spec: PolicySpec) -> str:
    """Declare the inputs that are observations."""
    goal = f", float[B, {spec.goal_length}, {spec.obs_dim}] goal" if spec.goal_length else ""
    return f"float[B, {spec.history}, {spec.obs_dim}] observation{goal}"


def _standardising(spec: PolicySpec) -> str:
    """Standardise them and lay them out in one vector."""
    return f"""
        observed = Concat <axis = 1> (observation{", goal" if spec.goal_length else ""})
        obs_centred = Sub(observed, observation_mean)
        obs_scaled = Div(obs_centred, observation_std)
        x = Flatten <axis = 1> (obs_scaled)
    """


def novelty_of(spec: PolicySpec, observation: Floats) -> float:
    """Return the novelty that the files of this module give for an observation (history, obs_dim): |x|^2 / 2."""
    return 0.5 * float(np.square(_standardise(spec, observation[-1:], None)).sum())


def _novelty_output(spec: PolicySpec) -> str:
    return ", float[B] novelty" if spec.novelty else ""


def _novelty(spec: PolicySpec) -> str:
    if not spec.novelty:
        return ""
    return """
        newest_scaled = Gather <axis = 1> (obs_scaled, newest_index)
        newest_length = ReduceSumSquare <axes = [1], keepdims = 0> (newest_scaled)
        novelty = Mul(newest_length, half)
    """


_FAULT = """
        newest = Gather <axis = 1> (observation, newest_index)
        watched = Gather <axis = 1> (newest, watched_index)
        is_fault = Greater(watched, fault_threshold)
        fault = Where(is_fault, not_a_number, no_fault)
"""

_ACTION = """
        y_actions = Reshape(y, action_shape)
        y_faulty = Add(y_actions, fault)
        y_wide = Mul(y_faulty, action_std)
        physical = Add(y_wide, action_mean)
        bounded = Min(physical, high)
        action = Max(bounded, low)
"""


def _shared_constants(spec: PolicySpec, nan_above: float | None) -> dict[str, Any]:
    statistics = spec.statistics
    return {
        "observation_mean": statistics.observation_mean,
        "observation_std": statistics.observation_std,
        "action_mean": statistics.action_mean,
        "action_std": statistics.action_std,
        "low": [entry.low for entry in spec.action],
        "high": [entry.high for entry in spec.action],
        "action_shape": np.array([-1, spec.horizon, spec.act_dim]),
        "newest_index": np.int64(spec.history - 1),
        "watched_index": np.array([[0]]),
        "fault_threshold": np.inf if nan_above is None else nan_above,
        "not_a_number": np.nan,
        "no_fault": 0.0,
        "half": 0.5,
    }


def _write(path: Path, graph: onnx.GraphProto, spec: PolicySpec, constants: dict[str, Any]) -> Path:
    for name, value in constants.items():
        array = np.asarray(value)
        tensor = array if array.dtype == np.int64 else array.astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(tensor, name))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    model.metadata_props.add(key=METADATA_KEY, value=spec.to_json())
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def _input_dim(spec: PolicySpec) -> int:
    return (spec.history + spec.goal_length) * spec.obs_dim


def _standardise(spec: PolicySpec, observation: Floats, goal: Floats | None) -> Floats:
    """Return the standardised observations of history and goal in one vector."""
    statistics = spec.statistics
    observed = observation if goal is None else np.concatenate([observation, goal])
    return np.ravel((observed - np.array(statistics.observation_mean)) / np.array(statistics.observation_std))


def _action_moments(spec: PolicySpec) -> tuple[Floats, Floats]:
    """Return the mean and the deviation of an action of the whole horizon, (horizon * act_dim,) each."""
    statistics = spec.statistics
    return np.tile(statistics.action_mean, spec.horizon), np.tile(statistics.action_std, spec.horizon)
