"""Parameters and log densities of a mixture, recovered from its policy file by running the graph."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.evaluation.fidelity.states import Seen, at, repeated
from vdd_ros.policy.binding import BoundArrays
from vdd_ros.policy.limit_bands import beyond, limit_bands
from vdd_ros.policy.onnx_policy import ONE_ACTION
from vdd_ros.policy.onnx_session import open_session
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.policy.providers import ProviderSettings
from vdd_ros.policy.selection import named_expert

Floats = NDArray[np.float64]

ROWS_A_RUN = 4096
MOST_MISS = 0.01


class Mixtures(NamedTuple):
    """The mixtures at S instants, in physical units; D = horizon * act_dim.

    Attributes:
        gating: (S, K).
        means: (S, K, D).
        factors: Of the covariances, F F^T, (S, K, D, D): an action is its expert's mean + F noise.
        clipped: (S, K) whether an action limit clipped an expert's output, so that its parameters cannot be recovered.
    """

    gating: Floats
    means: Floats
    factors: Floats
    clipped: NDArray[np.bool_]


class MixtureFile:
    """A mixture's policy file, run with chosen experts and noise instead of random ones.

    Raises:
        PolicyFileError: The file is not a policy file.
        ConfigurationError: The policy is not a mixture.
    """

    def __init__(self, file: Path | PolicyFile) -> None:
        found = open_session(file, provider=ProviderSettings(), intra_op_threads=1, inter_op_threads=1)
        self._session, self.spec = found.session, found.spec
        if self.spec.experts is None:
            raise ConfigurationError(
                f"A {self.spec.structure} policy ({self.spec.method}) has no density; give a mixture."
            )
        if self.spec.is_deterministic:
            raise ConfigurationError(ONE_ACTION)
        self._experts = self.spec.experts
        self._dim = self.spec.horizon * self.spec.act_dim
        self._low, self._high = (np.tile(band, self.spec.horizon) for band in limit_bands(self.spec))

    def read(self, seen: Seen) -> Mixtures:
        """Return the mixtures at S instants.

        An action is affine in the noise, as `OnnxPolicy.mixture` says. Each column of a factor is read on either side
        of the mean, so that a limit nearby does not hide it.
        """
        dim, unit = self._dim, np.eye(self._dim)
        noise = np.concatenate([np.zeros((1, dim)), unit, -unit])
        count, experts, readings = len(seen["observation"]), self._experts, len(noise)
        outputs = self._run(
            repeated(seen, experts * readings),
            np.tile(noise, (count * experts, 1)),
            np.tile(np.repeat(named_expert(np.arange(experts)), readings), count),
        )
        action = outputs["action"].reshape(count, experts, readings, dim).astype(np.float64)
        cut = np.logical_or.reduce(beyond(action, self._low, self._high), axis=-1)
        mean, above, below = action[:, :, 0], action[:, :, 1 : 1 + dim], action[:, :, 1 + dim :]
        cut_above, cut_below = cut[:, :, 1 : 1 + dim], cut[:, :, 1 + dim :]
        columns = np.where(cut_above[..., None], mean[:, :, None] - below, above - mean[:, :, None])
        return Mixtures(
            gating=outputs["gating"][:: experts * readings].astype(np.float64),
            means=mean,
            factors=columns.transpose(0, 1, 3, 2),
            clipped=cut[:, :, 0] | (cut_above & cut_below).any(axis=-1),
        )

    def log_prob(self, seen: Seen, actions: Floats) -> Floats:
        """Return the file's log density of actions (S, M, D), physical units, at S instants, (S, M).

        The graph returns the density of its own action. The widest expert is therefore made to return each given
        action, by the matching noise. Actions beyond the limits are clipped to them.

        Returns:
            Nats in physical units; NaN at instants where the limits clip all experts.

        Raises:
            PolicyFileError: The file does not return the given actions: it is not the mixture of its metadata.
        """
        count, number, dim = actions.shape
        mixtures = self.read(seen)
        steered = np.flatnonzero(~mixtures.clipped.all(axis=1))
        result = np.full((count, number), np.nan)
        if not len(steered):
            return result
        with np.errstate(invalid="ignore"):  # of a graph that gives no numbers, which is refused below
            volume = np.linalg.slogdet(mixtures.factors).logabsdet
        widest = np.where(mixtures.clipped, -np.inf, volume).argmax(axis=1)[steered]
        wanted = np.clip(actions[steered], self._low, self._high)
        offset = wanted - mixtures.means[steered, widest][:, None]  # (S, M, D)
        noise = np.linalg.solve(mixtures.factors[steered, widest], offset.transpose(0, 2, 1)).transpose(0, 2, 1)
        outputs = self._run(
            repeated(at(seen, steered), number),
            noise.reshape(-1, dim),
            np.repeat(named_expert(widest), number),
        )
        self._check_arrival(outputs["action"].reshape(wanted.shape), wanted)
        result[steered] = outputs["log_prob"].reshape(-1, number)
        return result

    def _check_arrival(self, returned: NDArray[np.float32], wanted: Floats) -> None:
        deviation = np.tile(self.spec.statistics.action_std, self.spec.horizon)
        miss = float((np.abs(returned - wanted) / deviation).max())
        if not miss <= MOST_MISS:
            raise PolicyFileError(
                f"the policy's actions are not affine in the noise: an expert returned an action {miss:.2g} standard "
                f"deviations from where its noise led (allowed: {MOST_MISS:g}). Export the policy again."
            )

    def _run(self, seen: Seen, noise: Floats, expert_uniform: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the graph on N rows, a few thousand at a time; noise is (N, D)."""
        parts = []
        for start in range(0, len(noise), ROWS_A_RUN):
            rows = slice(start, start + ROWS_A_RUN)
            arrays = BoundArrays(self._session, self.spec, len(noise[rows]))
            for name, array in at(seen, rows).items():
                arrays.inputs[name][:] = array
            arrays.inputs["noise"].reshape(-1, self._dim)[:] = noise[rows]
            arrays.inputs["expert_uniform"][:] = expert_uniform[rows]
            arrays.run()
            parts.append(arrays.outputs)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
