"""Demonstrations as standardised training windows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vdd_ros.data.blocks import Moments, moments
from vdd_ros.data.demonstrations import DemonstrationSet, Header
from vdd_ros.errors import DemonstrationError
from vdd_ros.features import Feature, listed
from vdd_ros.learning.fit.mapped_rows import MappedRows
from vdd_ros.policy.spec import FASTEST_HZ, SLOWEST_HZ
from vdd_ros.policy.spec_checks import MAX_TEXT
from vdd_ros.robot.quantities import UNITS
from vdd_ros.text import printable

LIMIT_MARGIN = 0.1
LEAST_DEVIATION = 1e-3
"""Default floor on the standard deviation of an observation entry, in the SI unit."""


def usual_deviation(unit: str) -> float:
    """Return the default floor on standard deviations in a unit: 1e-3 m as 1 mm; 1e-3 for unknown units."""
    return LEAST_DEVIATION / UNITS[unit][1] if unit in UNITS else LEAST_DEVIATION


def is_constant(found: Moments) -> NDArray[np.bool_]:
    """Return which entries never change, (D,)."""
    return np.asarray(found.low == found.high)


def _single(values: NDArray[np.float64]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


@dataclass(frozen=True)
class Statistics:
    """Statistics to standardise the data, and the limits of the actions; SI units.

    Attributes:
        observation_mean, observation_std: (obs_dim,).
        action_mean, action_std: (act_dim,).
        action_low, action_high: (act_dim,) the demonstrated range, widened by a tenth.
    """

    observation_mean: Tensor
    observation_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    action_low: Tensor
    action_high: Tensor

    @classmethod
    def of(cls, demonstrations: DemonstrationSet, least_deviation: float = 0.0) -> "Statistics":
        """Compute the statistics of a demonstration set.

        Args:
            demonstrations: The set.
            least_deviation: As in `WindowConfig`. Without a floor, any other value of an entry that
                varies only by rounding would be a thousand deviations away, and the action arbitrary.

        An entry that never changes has the deviation 1: standardised, it is 0 in training, and at run time its
        distance from the demonstrated value in its own unit. The limits of such an action entry are `usual_deviation`
        around its value. `small_deviations` warns of both.

        Raises:
            DemonstrationError: Policy files cannot represent a name, the rate or a number.
        """
        check_header(demonstrations.header)
        header = demonstrations.header
        observation, action = moments(demonstrations.observation), moments(demonstrations.action)
        deviation = np.maximum(
            observation.deviation, [least_deviation or usual_deviation(entry.unit) for entry in header.observation]
        )
        least = np.array([usual_deviation(entry.unit) for entry in header.action])
        margin = np.where(is_constant(action), least, LIMIT_MARGIN / 2 * (action.high - action.low))
        found = cls(
            observation_mean=_single(observation.mean),
            observation_std=_single(np.where(is_constant(observation), 1.0, deviation)),
            action_mean=_single(action.mean),
            action_std=_single(np.where(is_constant(action), 1.0, action.deviation)),
            action_low=_single(action.low - margin),
            action_high=_single(action.high + margin),
        )
        found._check_precision(demonstrations.header)
        return found

    def _check_precision(self, header: Header) -> None:
        """Raise DemonstrationError if single precision, in which policies compute, cannot represent the numbers."""
        for name, entries in (("observation", header.observation), ("action", header.action)):
            means, deviations = getattr(self, f"{name}_mean"), getattr(self, f"{name}_std")
            told_apart = deviations >= means.abs() * torch.finfo(torch.float32).eps / 2
            if name == "action":
                told_apart &= (self.action_low < self.action_high) & (self.action_high - self.action_low).isfinite()
            good = told_apart & (deviations > 0) & means.isfinite() & deviations.isfinite()
            if bad := [printable(entry.name) for entry, fits in zip(entries, good.tolist(), strict=True) if not fits]:
                raise DemonstrationError(
                    f"demonstrations: single precision cannot represent the {name} entries {', '.join(bad)}: too "
                    "large, or changing by less than its least digit; use another unit or origin"
                )

    @classmethod
    def from_lists(cls, lists: dict[str, list[float]]) -> "Statistics":
        """Read what `to_lists` wrote."""
        return cls(**{name: torch.tensor(values, dtype=torch.float32) for name, values in lists.items()})

    def to_lists(self) -> dict[str, list[float]]:
        """Return plain lists."""
        return {name: value.tolist() for name, value in vars(self).items()}

    def standard_limits(self) -> tuple[Tensor, Tensor]:
        """Return the limits of standardised actions, each (act_dim,)."""
        return (self.action_low - self.action_mean) / self.action_std, (
            self.action_high - self.action_mean
        ) / self.action_std


def check_header(header: Header) -> None:
    """Raise DemonstrationError if any policy file trained on these demonstrations would be refused."""
    if header.arrays:
        raise DemonstrationError(
            f"demonstrations: training on arrays, such as {listed(header.arrays)}, is not supported: there is no image "
            "encoder. Leave them out of the set, or train elsewhere: nodes run policy files that observe arrays"
        )
    for name, texts in (
        ("task", [header.task]),
        ("observation", [text for entry in header.observation for text in (entry.name, entry.unit)]),
        ("action", [text for entry in header.action for text in (entry.name, entry.unit)]),
    ):
        for text in texts:
            if text != text.strip() or printable(text, MAX_TEXT) != text:
                raise DemonstrationError(
                    f"demonstrations: {name} has the text '{printable(text)}', which policy files cannot hold; it must "
                    f"have at most {MAX_TEXT} printable characters, without spaces at its beginning or end"
                )
    if not SLOWEST_HZ <= header.rate_hz <= FASTEST_HZ:
        raise DemonstrationError(
            f"demonstrations: rate_hz is {header.rate_hz:g}; policies act at {SLOWEST_HZ:g} to {FASTEST_HZ:,.0f} Hz"
        )


@dataclass(frozen=True)
class Windows:
    """Standardised training pairs.

    Attributes:
        observation: (K, history, obs_dim); of a memory-mapped set its rows are read on access.
        action: (K, D), each a chunk flattened to D = horizon * act_dim; likewise.
        states: (N, obs_dim) all observations, one episode after the other; goals are cut from them; likewise.
        now: (K,) index of each window's newest observation in `states`.
        last: (K,) index of the last observation of the same episode.
        goal_length: Observations in a goal; 0 for none.
    """

    observation: Tensor | MappedRows
    action: Tensor | MappedRows
    states: Tensor | MappedRows
    now: Tensor
    last: Tensor
    goal_length: int

    @classmethod
    def of(
        cls,
        demonstrations: DemonstrationSet,
        statistics: Statistics,
        history: int,
        horizon: int,
        goal_length: int = 0,
        device: torch.device | str = "cpu",
        past: int = 0,
    ) -> "Windows":
        """Cut and standardise the windows of a demonstration set, and move them to their device.

        Args:
            demonstrations: The set.
            statistics: By which its entries are standardised.
            history: Observations in a window.
            horizon: Actions in a chunk.
            goal_length: Observations in a goal; 0 for none.
            device: Of the windows.
            past: Actions at the end of a chunk that precede the newest observation; those before an episode repeat its
                first.

        Raises:
            DemonstrationError: No episode is long enough.
        """
        episodes = demonstrations.episodes()
        ahead = horizon - past
        nows = [torch.arange(pairs.start, max(pairs.start, pairs.stop - ahead + 1)) for pairs in episodes]
        lasts = [torch.full((len(now),), pairs.stop - 1) for now, pairs in zip(nows, episodes, strict=True)]
        firsts = [torch.full((len(now),), pairs.start) for now, pairs in zip(nows, episodes, strict=True)]
        places = torch.cat(nows), torch.cat(firsts)
        if demonstrations.is_mapped:
            offsets = np.concatenate([np.arange(ahead), np.arange(-past, 0)])
            observation, action, states = _mapped(demonstrations, statistics, *places, history, offsets, device)
            return cls(observation, action, states, places[0].to(device), torch.cat(lasts).to(device), goal_length)
        found = cls._dense(demonstrations, statistics, history, ahead, goal_length, nows, lasts, device)
        return found._with_past(demonstrations, statistics, places[1], past) if past else found

    def _with_past(
        self, demonstrations: DemonstrationSet, statistics: Statistics, first: Tensor, past: int
    ) -> "Windows":
        """Append the actions before each window's newest observation; `first` (K,) begins its episode."""
        index = torch.maximum(self.now.cpu()[:, None] + torch.arange(-past, 0), first[:, None])  # (K, past)
        before = torch.from_numpy(demonstrations.action[index.numpy()].astype("float32"))
        standard = ((before - statistics.action_mean) / statistics.action_std).flatten(1).to(self.now.device)
        return replace(self, action=torch.cat([self.action, standard], dim=1))  # type: ignore[list-item]

    @classmethod
    def _dense(
        cls,
        demonstrations: DemonstrationSet,
        statistics: Statistics,
        history: int,
        horizon: int,
        goal_length: int,
        nows: list[Tensor],
        lasts: list[Tensor],
        device: torch.device | str,
    ) -> "Windows":
        observation, action = demonstrations.windows(history, horizon)
        states = torch.from_numpy(demonstrations.observation.astype("float32"))

        def standard(values: Tensor) -> Tensor:
            return ((values - statistics.observation_mean) / statistics.observation_std).to(device)

        return cls(
            standard(torch.from_numpy(observation)),
            ((torch.from_numpy(action) - statistics.action_mean) / statistics.action_std).flatten(1).to(device),
            standard(states),
            torch.cat(nows).to(device),
            torch.cat(lasts).to(device),
            goal_length,
        )

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.action)

    def draw_goals(self, index: Tensor, generator: torch.Generator) -> Tensor | None:
        """Draw goals: consecutive states of the same episode, at a uniformly drawn later time.

        Args:
            index: (B,) windows.
            generator: Source of the times.

        Returns:
            (B, goal_length, obs_dim), oldest first, or None without goals. Beyond an episode's end its last
            state is repeated.
        """
        if self.goal_length == 0:
            return None
        now, last = self.now[index], self.last[index]
        room = (last - self.goal_length + 1 - now).clamp(min=1)  # starts now + 1 to now + room
        part = torch.rand(index.shape, generator=generator, device=generator.device)
        start = now + 1 + (part * room).long()
        steps = torch.arange(self.goal_length, device=index.device)
        return self.states[torch.minimum(start[:, None] + steps, last[:, None])]


def _mapped(
    demonstrations: DemonstrationSet,
    statistics: Statistics,
    now: Tensor,
    first: Tensor,
    history: int,
    offsets: NDArray[np.int64],
    device: torch.device | str,
) -> tuple[MappedRows, MappedRows, MappedRows]:
    """Return observation, action and states of `Windows` as memory-mapped rows.

    Args:
        demonstrations: The set.
        statistics: Of the set.
        now: (K,) newest observation of each window.
        first: (K,) first observation of its episode.
        history: Observations in a window.
        offsets: (horizon,) places of a chunk's actions, counted from the newest observation.
        device: Device of the rows read.

    Raises:
        DemonstrationError: No episode is long enough.
    """
    if not len(now):
        raise demonstrations.too_short(int(offsets.max()) + 1)
    newest, earliest = now.numpy(), first.numpy()
    past = np.arange(1 - history, 1)
    observed = statistics.observation_mean, statistics.observation_std, device

    def window(index: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum(newest[index][..., None] + past, earliest[index][..., None])

    def chunk(index: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum(newest[index][..., None] + offsets, earliest[index][..., None])

    return (
        MappedRows(demonstrations.observation, window, len(now), *observed),
        MappedRows(
            demonstrations.action, chunk, len(now), statistics.action_mean, statistics.action_std, device, is_flat=True
        ),
        MappedRows(demonstrations.observation, lambda index: index, len(demonstrations.observation), *observed),
    )


def small_deviations(
    entries: Iterable[Feature], deviations: Iterable[float], least_deviation: float = 0.0
) -> list[str]:
    """Say which observation entries hardly changed in the demonstrations, and what to do; a sentence each.

    Args:
        entries: Of the observation.
        deviations: Standard deviations of the entries, before or after the floor; 0 for one that never changed.
        least_deviation: As in `WindowConfig`.
    """
    found = []
    for entry, deviation in zip(entries, deviations, strict=True):
        name, unit = entry.name, entry.unit
        least = least_deviation or usual_deviation(unit)
        if deviation == 0:
            found.append(
                f"the observation entry {printable(name)} never changed in the demonstrations: it is standardised with "
                f"the deviation 1 {printable(unit)}. The policy has not learned other values of it."
            )
        elif deviation <= least * (1 + 1e-6):  # float32 rounding
            found.append(
                f"the observation entry {printable(name)} hardly changed in the demonstrations: its deviation is "
                f"{deviation:.2g} {printable(unit)}, the floor is {least:.2g} {printable(unit)} "
                "(--least-deviation). The policy has not learned other values; leave the entry out, or record it "
                "changing."
            )
    return found


def unchanging_actions(demonstrations: DemonstrationSet) -> list[str]:
    """Say which action entries never change; a sentence each."""
    found = moments(demonstrations.action)
    return [
        f"the action entry {printable(entry.name)} is always {value:.6g} {printable(entry.unit)} in the demonstrations"
        f": the policy keeps it within {usual_deviation(entry.unit):.2g} {printable(entry.unit)} of that"
        for entry, value, constant in zip(demonstrations.header.action, found.mean, is_constant(found), strict=True)
        if constant
    ]
