"""A policy file in use: from observation, and optionally goal, to action in one graph run."""

from copy import copy
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vdd_ros.errors import ConfigurationError
from vdd_ros.policy.act import Act, ActBatch, Mixture, WarmUp
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.density import lower_factors
from vdd_ros.policy.draws import Draws
from vdd_ros.policy.limit_bands import beyond, limit_bands
from vdd_ros.policy.observed import VECTOR, Observed, Windows
from vdd_ros.policy.onnx_session import OnnxModel, open_session
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.prefix import Prefix
from vdd_ros.policy.promises import Promises
from vdd_ros.policy.providers import ProviderSettings
from vdd_ros.policy.selection import DEFAULT_SWITCH_RATIO, LIKELIEST_EXPERT, ExpertSelector, named_expert

NOISES = ("mean", "full")
ONE_ACTION = (
    "A deterministic policy file gives one action of its mixture, not the mixture; export it without --deterministic."
)


class OnnxPolicy:
    """A policy file, ready to act. Make one with `OnnxPolicy.load`.

    Not thread-safe: all calls share arrays and the random stream.

    Attributes:
        spec: Metadata of the file.
        sha256, size: Hash, and size in bytes, of the file content, which was read once.
    """

    def __init__(self, opened: OnnxModel, selector: ExpertSelector, noise: str, seed: int) -> None:
        if noise not in NOISES:
            raise ConfigurationError(f"Noise {noise!r} is unknown; use one of {', '.join(NOISES)}.")
        self._session, self.spec, self._engines, self.sha256, self.size, _ = opened
        spec = self.spec
        self._selector = selector
        self._draws_noise = not spec.is_deterministic and (noise == "full" or not spec.is_mixture)
        self._draws_expert = spec.is_mixture and not spec.is_deterministic
        self._holds = self._draws_expert and selector.how == "sticky"
        self.executes(1)
        self._single = BoundArrays(self._session, spec, 1)
        self._batched = self._single
        self._observed = Observed(spec, self._single, 0)
        self._prefix = Prefix(spec, self._single)
        self._action = self._single.outputs["action"][0]
        self._gating = self._single.outputs["gating"][0] if spec.is_mixture else None
        self._knows_novelty = spec.novelty is not None
        self._dry_run_draws = Draws(0)
        self.seed(seed)

    @classmethod
    def load(
        cls,
        file: str | Path | PolicyFile,
        *,
        provider: str | ProviderSettings = "cpu",
        expert: str = "sample",
        switch_ratio: float = DEFAULT_SWITCH_RATIO,
        noise: str = "mean",
        seed: int = 0,
        intra_op_threads: int = 1,
        inter_op_threads: int = 1,
    ) -> "OnnxPolicy":
        """Open a policy file.

        Args:
            file: The .onnx file; a path is read once, so the hashed bytes are the ones that act.
            provider: `cpu`, `cuda` or `tensorrt`, or one of them with its settings; refused if not granted.
                TensorRT's engines are built for one observation at a time; use the others for batches.
            expert: `sample`, `greedy` or `sticky`, see `ExpertSelector`. For mixtures only, like `noise`: other
                policies need their noise and always draw it. Deterministic files draw nothing: neither has an effect.
            switch_ratio: See `ExpertSelector`.
            noise: `mean`: an expert's mean is executed (the paper's way); `full`: a draw from the expert.
            seed: Seed of every random draw; the same seed gives the same actions.
            intra_op_threads: Threads within an operator; more than 1 slows small networks down.
            inter_op_threads: Threads across operators; unused while operators run in sequence.

        Raises:
            PolicyFileError: The file is missing, not an ordinary file or not ONNX, keeps weights elsewhere, or its
                metadata is missing, wrong or contradicts the graph.
            ProviderError: The provider was not granted.
            ConfigurationError: Another argument has a value that is not allowed.
        """
        selector = ExpertSelector(expert, switch_ratio=switch_ratio)
        settings = ProviderSettings(provider) if isinstance(provider, str) else provider
        opened = open_session(
            file, provider=settings, intra_op_threads=intra_op_threads, inter_op_threads=inter_op_threads
        )
        return cls(opened, selector, noise, seed)

    @property
    def binding(self) -> str:
        """Memory that the graph reads and writes: `host`, or `device` on a GPU if that is faster."""
        return self._single.binding

    @property
    def binding_run_s(self) -> dict[str, float]:
        """Median seconds of a warm run by binding; empty if only one exists."""
        return self._single.run_s

    @property
    def engine_folder(self) -> Path | None:
        """Folder of this file's TensorRT engines; None with other providers."""
        return None if self._engines is None else self._engines.folder

    @property
    def engines_built(self) -> list[str]:
        """Names of the TensorRT engines that had to be built because they were not cached."""
        return [] if self._engines is None else self._engines.built

    def seed(self, seed: int, stream: int = 0) -> None:
        """Restart the random stream, or select another independent stream of this seed.

        Raises:
            ConfigurationError: The seed is negative.
        """
        if seed < 0:
            raise ConfigurationError(f"seed is {seed}; it must be 0 or more.")
        self._draws = Draws(seed, stream)

    def reset(self) -> None:
        """Start a new episode: forget the last expert. The random stream continues."""
        self._selector.reset()

    def executes(self, action_steps: int) -> None:
        """Set how many actions of each chunk are executed before the next call of `act`; 1 by default.

        `sticky` compares a chunk with the previous chunk's announcement for the same time.
        """
        if self._holds:
            self._selector.promises = Promises(self.spec, action_steps, announced=not self._draws_noise)

    def warm_up(self, runs: int = 10) -> WarmUp:
        """Run the graph on the mean observation (also as goal) and zero arrays, and time it.

        Random stream and held expert are unchanged. On a GPU, the faster binding is chosen after the first run.

        Raises:
            ConfigurationError: `runs` is below 2.
        """
        if runs < 2:
            raise ConfigurationError(f"runs is {runs}; it must be 2 or more, for the first run does not count.")
        arrays = self._single
        self._observed.put_mean()
        if not self.spec.is_deterministic:
            arrays.inputs["noise"].fill(0)
        if self._draws_expert:
            arrays.inputs["expert_uniform"].fill(LIKELIEST_EXPERT)
        times = []
        for run in range(runs):
            if run == 1:
                arrays.choose_binding()
            start = perf_counter()
            arrays.run()
            times.append(perf_counter() - start)
        median_s, p99_s = np.percentile(times[1:], (50, 99)).tolist()
        return WarmUp(times[0], median_s, min(times[1:]), p99_s)

    def act(
        self,
        observation: NDArray[np.floating],
        goal: NDArray[np.floating] | None = None,
        arrays: Windows | None = None,
        prefix: NDArray[np.floating] | None = None,
    ) -> Act:
        """Return the action for one observation.

        Args:
            observation: (history, obs_dim), oldest first, physical units.
            goal: (goal_length, obs_dim) future observations to reach, oldest first, physical units; None if the policy
                takes none.
            arrays: (history, *shape) of each observed array by name, oldest first, in its own number type; None if the
                policy observes none.
            prefix: (steps, act_dim) the first actions of the chunk, physical units, which are certain, such as those
                that the robot executes before the answer arrives; at most `horizon`. The answer has them as they are
                (within the limits), and the rest given them. None or no rows: nothing is certain. Only for files with
                that input (`spec.takes_prefix`).

        Raises:
            ObservationError: The observation, the goal, an array or the prefix has another shape or type, or a value
                that is not finite; or a goal or arrays are missing, or one of these is not taken.
            PolicyFileError: The graph names a nonexistent expert.
        """
        self._observed.put(observation, goal, arrays)
        self._prefix.put(prefix)
        self._run(self._single)
        outputs = self._single.outputs
        novelty = outputs["novelty"].item() if self._knows_novelty else None
        if self._gating is None:
            return Act(self._action, None, None, None, novelty)
        expert = self._selector.known(outputs["expert"].item(), self.spec.experts or 0)
        return Act(self._action, expert, outputs["log_prob"].item(), self._gating, novelty)

    def dry_run(
        self,
        observation: NDArray[np.floating],
        goal: NDArray[np.floating] | None = None,
        arrays: Windows | None = None,
        prefix: NDArray[np.floating] | None = None,
    ) -> Act:
        """Run `act` and discard the result, so that core and caches are warm for the next call.

        Random stream and held expert are unchanged; arrays returned by `act` are overwritten, as by any run.

        Raises:
            ObservationError: As `act`.
        """
        draws, selector = self._draws, self._selector
        self._draws, self._selector = self._dry_run_draws, copy(selector)
        try:
            return self.act(observation, goal, arrays, prefix)
        finally:
            self._draws, self._selector = draws, selector

    def act_batch(
        self,
        observations: ArrayLike,
        goals: ArrayLike | None = None,
        arrays: Windows | None = None,
        prefixes: ArrayLike | None = None,
        prefix_steps: ArrayLike | None = None,
    ) -> ActBatch:
        """Return the actions for B observations (B, history, obs_dim) and goals (B, goal_length, obs_dim); see `act`.

        Arrays are (B, history, *shape). Prefixes are (B, n, act_dim); the first `prefix_steps` (B,) of each row count,
        by default all n. Rows are independent draws. With `sticky`, row i keeps the expert of row i in
        the previous call.

        Raises:
            ObservationError: As `act`.
        """
        given = np.asarray(observations)
        one = (self.spec.history, self.spec.obs_dim)
        if given.ndim != 3 or len(given) < 1 or given.shape[1:] != one:
            raise self._observed.wrong_shape("observation", given.shape, ("B", *one))
        if len(given) != self._batched.batch:
            self._batched = BoundArrays(self._session, self.spec, len(given))
        Observed(self.spec, self._batched).put(given, None if goals is None else np.asarray(goals), arrays)
        given_prefixes = None if prefixes is None else np.asarray(prefixes)
        given_steps = None if prefix_steps is None else np.asarray(prefix_steps)
        Prefix(self.spec, self._batched).put_batch(given_prefixes, given_steps)
        self._run(self._batched)
        outputs = {name: array.copy() for name, array in self._batched.outputs.items()}
        return ActBatch(outputs["action"], *(outputs.get(name) for name in ActBatch._fields[1:]))

    def mixture(self, observation: ArrayLike, goal: ArrayLike | None = None, arrays: Windows | None = None) -> Mixture:
        """Recover the mixture's parameters at one observation (arguments as in `act`) with one batched run.

        Unless an action limit cuts it, an action is affine in the noise: mean + a factor of the covariance times noise.
        Zero noise thus gives an expert's mean, and unit vectors of noise give the columns of its factor. No action is
        taken as given.

        Raises:
            ConfigurationError: The policy is not a mixture, or its file is deterministic.
            ObservationError: As `act`.
        """
        spec = self.spec
        if spec.experts is None:
            raise ConfigurationError(f"A {spec.structure} policy ({spec.method}) has no experts; give a mixture.")
        if spec.is_deterministic:
            raise ConfigurationError(ONE_ACTION)
        self._observed.put(np.asarray(observation), None if goal is None else np.asarray(goal), arrays)
        dim = spec.horizon * spec.act_dim
        bound = BoundArrays(self._session, spec, spec.experts * (1 + dim))
        for name, array in self._observed.inputs.items():
            bound.inputs[name][:] = array
        bound.inputs["noise"].reshape(spec.experts, 1 + dim, dim)[:, 1:] = np.eye(dim)
        bound.inputs["expert_uniform"][:] = np.repeat(named_expert(np.arange(spec.experts)), 1 + dim)
        bound.run()
        action = bound.outputs["action"]
        low, high = limit_bands(spec)
        at_limit = beyond(action, low, high)
        readings = action.reshape(spec.experts, 1 + dim, dim).astype(np.float64)
        return Mixture(
            gating=bound.outputs["gating"][0].astype(np.float64),
            means=readings[:, 0],
            choleskys=lower_factors((readings[:, 1:] - readings[:, :1]).transpose(0, 2, 1)),
            clipped=np.logical_or.reduce(at_limit.reshape(spec.experts, -1), axis=1),
        )

    def _run(self, arrays: BoundArrays) -> None:
        if self._draws_noise:
            self._draws.normal(arrays.inputs["noise"])
        if not self._draws_expert:
            arrays.run()
            return
        uniform = arrays.inputs["expert_uniform"]
        self._selector.choose(self._draws, uniform)
        arrays.run()
        if self._selector.choose_again(arrays.outputs["gating"], self._draws, uniform):
            arrays.run()
        if self._holds:
            seen = arrays.inputs.get(VECTOR)
            newest = np.empty((arrays.batch, 0), np.float32) if seen is None else seen[:, -1]
            self._selector.acted(arrays.outputs["expert"], arrays.outputs["action"], newest)
