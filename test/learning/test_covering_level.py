"""The highest noise level that a teacher takes from its data, and what a lower one does to rare actions far away."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from checkout import CHECKOUT
from torch import Tensor
from toy_targets import Target, exact_teacher, observations, small_demonstrations
from trainings import train_teacher

from vdd_ros.learning.configs import NoiseConfig
from vdd_ros.learning.diffusion.teacher import TeacherConfig
from vdd_ros.learning.fit.windows import Windows
from vdd_ros.learning.kinds import DIFFUSION
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.teacher import covering_level

FAR = 8.0
# A chunk of four actions: half of the time nothing, half of the time four actions at the end of their range.
TARGET = Target.of([0.5, 0.5], [[0.0] * 4, [FAR / 2] * 4], [0.1, 0.1])


def windows(action: Tensor) -> Windows:
    nothing, index = torch.zeros(len(action), 1, 1), torch.arange(len(action))
    return Windows(nothing, action.float(), nothing[:, 0], index, index, 0)


def share_of_the_far_mode(highest: float, distance: float = FAR, steps: int = 16) -> float:
    """Return how often an exact teacher's samples are at the far one of two modes, the other being at 0."""
    target = Target.of([0.5, 0.5], [[0.0] * 4, [distance / 2] * 4], [0.1, 0.1])
    teacher = exact_teacher(target, "beso", sigma_max=highest)
    noise = torch.randn((1, 20_000, steps, 4), generator=torch.Generator().manual_seed(0))
    drawn = teacher.sample(teacher.encode(observations(1)), noise, "euler-ancestral", "karras")[0]
    return float((drawn[:, 0] > distance / 4).double().mean())


def test_the_shares_are_those_of_the_docs() -> None:
    page = (CHECKOUT / "docs" / "method.md").read_text()
    heads, _, *rows = page[page.index("| highest level |") :].split("\n\n")[0].splitlines()
    distances = [float(head.split()[-1]) for head in heads.strip("|").split("|")[1:]]
    assert len(rows) == 4 and distances == [2.0, 4.0, 8.3]
    for row in rows:
        level, *shares = map(float, row.strip("|").split("|"))
        measured = [share_of_the_far_mode(level, distance, steps=8) for distance in distances]
        assert measured == pytest.approx(shares, abs=0.02)


def test_samples_that_start_at_the_covering_level_have_the_right_shares() -> None:
    level = covering_level(windows(TARGET.draw(2000, torch.Generator().manual_seed(0))))
    assert level > FAR
    assert share_of_the_far_mode(level) == pytest.approx(0.5, abs=0.05)
    assert share_of_the_far_mode(3.0) < 0.2


def test_it_is_at_least_the_largest_distance_of_two_chunks() -> None:
    action = torch.randn(500, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([3.0, 1, 1, 1, 1, 9])
    assert covering_level(windows(action)) >= float(torch.pdist(action).quantile(0.999))


def test_single_outliers_do_not_count() -> None:
    action = torch.randn(5000, 2, generator=torch.Generator().manual_seed(2))
    usual = covering_level(windows(action))
    action[77] = 1e6
    assert covering_level(windows(action)) == pytest.approx(usual, rel=0.1)


def test_data_nearby_have_the_usual_level() -> None:
    assert covering_level(windows(torch.zeros(3, 2))) == NoiseConfig.sigma_max


def test_there_may_be_more_windows_than_single_precision_can_count() -> None:
    many = torch.full((1, 1), 5.0).expand(2**24 + 4, 1)
    index = torch.zeros(1, dtype=torch.int64)
    assert covering_level(Windows(many, many, many, index, index, 0)) == 10.0


@pytest.mark.parametrize("given", [0.0, 7.0])
def test_the_level_is_part_of_the_checkpoint(given: float, tmp_path: Path) -> None:
    size = {"backbone": "mlp", "width": 8, "layers": 1, "history": 1, "horizon": 2, "steps": 1, "batch": 4}
    config = TrainConfig(teacher="beso", sigma_max=given, **size)  # type: ignore[arg-type]
    train_teacher(small_demonstrations(), tmp_path / "t", config)
    teacher, _ = DIFFUSION.load(tmp_path / "t")
    assert isinstance(teacher.config, TeacherConfig)
    assert teacher.config.sigma_max == given or (not given and teacher.config.sigma_max >= 3.0)
