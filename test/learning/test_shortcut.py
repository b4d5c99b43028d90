"""Shortcut models: jumps of a teacher whose probability-flow ODE is solved in closed form."""

import pytest

pytest.importorskip("torch")

import torch
from exact_lines import MIXTURE, ExactModel, exact_teacher, windows

from vdd_ros.learning.methods.consistency import StudentWithTarget, consistency_loss
from vdd_ros.learning.methods.distiller_configs import ShortcutConfig
from vdd_ros.learning.methods.shortcut import middle, shortcut_ends, shortcut_loss


def shortcut_at_the_solution(levels: int, offset: float = 0.0, bootstrap: float = 0.5) -> tuple[float, float]:
    """Return the shortcut's loss and its gradient for a model that jumps exactly, plus an offset."""
    torch.manual_seed(0)
    both = StudentWithTarget(student := ExactModel(MIXTURE, offset))  # type: ignore[arg-type]
    config = ShortcutConfig(batch=4_000, discretisation=levels, metric="l2", observation_noise=0.0)
    ends, teacher = shortcut_ends(bootstrap), exact_teacher(MIXTURE)
    loss = consistency_loss(both, teacher, windows(MIXTURE), config, shortcut_loss, ends)
    value, _ = loss(torch.Generator().manual_seed(0), 0)
    value.backward()
    return float(value.detach()), float(student.offset.grad)  # type: ignore[arg-type]


def test_a_shortcut_is_minimal_at_the_exact_jumps() -> None:
    """Jumps over several levels agree exactly; those over one as the teacher's solver is exact."""
    assert shortcut_at_the_solution(16, bootstrap=1.0)[0] < 1e-8
    coarse, fine = shortcut_at_the_solution(16), shortcut_at_the_solution(128)
    assert fine[0] < coarse[0] / 20
    wrong = shortcut_at_the_solution(128, offset=0.3)
    assert wrong[0] > 10 * fine[0]
    assert wrong[1] > 10 * abs(fine[1])


@pytest.mark.parametrize("last", [2, 3, 8, 11, 16])
def test_a_shortcuts_jumps_are_two_of_half_their_span_and_reach_every_level(last: int) -> None:
    start, end = shortcut_ends(0.5)(last + 1, (1_000, 40), torch.Generator().manual_seed(0))
    rest, spans = middle(start, end, last + 1), [2**power for power in range(last.bit_length() + 1)]
    assert ((start >= 1) & (start <= last) & (end >= 0)).all()
    one = start - end == 1
    assert float(one.float().mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(rest[one], end[one])
    assert torch.isin(start - rest, torch.tensor(spans)).all()
    assert ((end == 0) | (start - end == 2 * (start - rest)) | one).all()
    assert (rest >= end).all()
    longest = (start == last) & (end == 0)
    assert longest.any(), "a sample is one of the jumps"
    known = {(int(a), int(b)) for a, b in zip(start.flatten(), end.flatten(), strict=True)}
    halves = {(int(a), int(b)) for a, b in zip(start.flatten(), rest.flatten(), strict=True)}
    halves |= {(int(a), int(b)) for a, b in zip(rest.flatten(), end.flatten(), strict=True) if a > b}
    assert halves <= known, "every half is learned too"
