"""The U-Net against a computation in numpy, and teachers with numbered diffusion steps against diffusers' numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from lerobot_policies import ACTION, Policy

from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.diffusion.discrete import (
    NumberedLevels,
    NumberedSteps,
    UNetTeacherConfig,
    signal_shares,
    step_sigmas,
)
from vdd_ros.learning.diffusion.teacher import Teacher
from vdd_ros.learning.importing.lerobot import read_lerobot
from vdd_ros.learning.importing.registry import ImportRequest
from vdd_ros.learning.networks.unet import UNetDenoiser

SHAPE: dict[str, Any] = {
    **{"kind": "lerobot", "history": 2, "obs_dim": 3, "horizon": 8, "act_dim": 2, "past": 1, "levels": 100},
    **{"channels": "8,16", "kernel": 3, "groups": 4, "step_features": 8},
}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"n_obs_steps": 1},
    {"n_obs_steps": 3, "use_film_scale_modulation": False},
    {"down_dims": [8, 16, 12], "horizon": 16, "kernel_size": 5},
    {"down_dims": [16, 8, 8, 4], "horizon": 8, "diffusion_step_embed_dim": 12, "n_groups": 2},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_network_is_that_of_numpy(settings: dict[str, Any], tmp_path: Path) -> None:
    """Several actions and levels of each state at once, each level a number of a step."""
    policy = Policy.drawn(**settings)
    found = read_lerobot(ImportRequest(checkpoint=policy.write(tmp_path / "c"), rate_hz=10.0))
    network, config = found.teacher.network, policy.config
    past, horizon, size = config["n_obs_steps"] - 1, config["horizon"], policy.sizes[ACTION]
    random = np.random.default_rng(1)
    states = random.standard_normal((3, config["n_obs_steps"], 3)).astype(np.float32)
    chunks = random.standard_normal((3, 4, horizon, size)).astype(np.float32)  # in the order of time
    steps = random.uniform(0, 99, (3, 4)).astype(np.float32)
    ours = np.concatenate([chunks[:, :, past:], chunks[:, :, :past]], axis=2).reshape(3, 4, -1)
    with torch.no_grad():
        context = network.encode(torch.from_numpy(states), None)
        given = network(context, torch.from_numpy(ours), torch.from_numpy(steps)[..., None])
        shared = network(context, torch.from_numpy(ours), torch.full((1, 1, 1), 7.0))
    for b in range(3):
        for s in range(4):
            for output, step in ((given, steps[b, s]), (shared, 7.0)):
                expected = policy.network(chunks[b, s].astype(float), float(step), states[b].astype(float).reshape(-1))
                expected = np.concatenate([expected[past:], expected[:past]]).reshape(-1)
                np.testing.assert_allclose(output[b, s].numpy(), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("betas", ["squaredcos_cap_v2", "linear", "scaled_linear"])
def test_shares_of_signal_are_the_definition_s(betas: Any) -> None:
    policy = Policy.drawn(beta_schedule=betas, num_train_timesteps=50)
    found = signal_shares(betas, 50, 1e-4, 0.02)
    np.testing.assert_allclose(found.numpy(), policy.signal_shares(), rtol=3e-5)


def test_the_cosine_schedule_has_the_ends_that_diffusers_has() -> None:
    """As diffusers 0.42.1 prints alphas_cumprod of 100 steps."""
    found = signal_shares("squaredcos_cap_v2", 100, 1e-4, 0.02)
    assert float(found[0]) == pytest.approx(0.9993687, abs=1e-7)
    assert float(found[99]) == pytest.approx(2.4285e-7, rel=1e-4)


@pytest.mark.parametrize(
    ("steps", "visited"),
    [
        (8, [84, 72, 60, 48, 36, 24, 12, 0]),
        (10, [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]),
        (100, list(range(99, -1, -1))),
        (1, [0]),
        (60, list(range(59, -1, -1))),
    ],
)
def test_sampling_visits_the_steps_that_diffusers_visits(steps: int, visited: list[int]) -> None:
    sigmas = step_sigmas(UNetTeacherConfig(**SHAPE))
    levels = NumberedLevels(sigmas, "ddim")
    assert levels.sampling_levels(steps, "leading") == sigmas[visited].tolist()
    preconditioning = NumberedSteps(sigmas, "epsilon")
    assert preconditioning.condition(sigmas[visited][:, None]).flatten().tolist() == visited


def test_steps_between_two_are_linear_and_those_outside_are_the_last() -> None:
    sigmas = step_sigmas(UNetTeacherConfig(**SHAPE))
    preconditioning = NumberedSteps(sigmas, "sample")
    between = torch.stack([sigmas[3] + 0.25 * (sigmas[4] - sigmas[3]), sigmas[0] / 2, sigmas[-1] * 2])
    found = preconditioning.condition(between[:, None]).flatten()
    torch.testing.assert_close(found, torch.tensor([3.25, 0.0, 99.0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("steps", [0, 101])
def test_more_steps_than_levels_are_refused(steps: int) -> None:
    levels = NumberedLevels(step_sigmas(UNetTeacherConfig(**SHAPE)), "ddim")
    with pytest.raises(ConfigurationError, match=f"{steps} sampling steps .* has 100 levels; choose 1 to 100"):
        levels.sampling_levels(steps, "leading")


def test_ddim_keeps_the_noise_that_the_network_estimated_where_the_clean_action_is_clipped() -> None:
    """diffusers: the direction to the noisy action is the network's own output, before and after the clip."""
    teacher = Teacher(UNetTeacherConfig(**SHAPE))
    teacher.limit_actions(torch.full((2,), -0.1), torch.full((2,), 0.1))
    sigma, below = (float(one) for one in step_sigmas(teacher.config)[[50, 40]])  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    action = 3 * torch.randn((1, 2, teacher.size), generator=generator)
    with torch.no_grad():
        context = teacher.encode(torch.randn((1, 2, 3), generator=generator))
        noise = teacher.network(context, action / (1 + sigma**2) ** 0.5, torch.full((1, 1, 1), 50.0))
        expected = (action - sigma * noise).clamp(-0.1, 0.1) + below * noise
        found = teacher.step(context, action, sigma, below, "ddim", None)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"channels": "8,x"}, "channels is '8,x'; it must be whole numbers"),
        ({"channels": "8"}, "channels has 1 levels; a U-Net has 2 to 8"),
        ({"channels": "8,10"}, "channels has 10; all must be multiples of the 4 groups"),
        ({"channels": "12,16"}, "channels begins with 12; it must be a multiple of 8"),
        ({"kernel": 4}, "kernel is 4 .* must be odd"),
        ({"step_features": 9}, "step_features 9; .* even"),
        ({"horizon": 9}, "horizon is 9; .* must be a multiple of 2"),
        ({"past": 8}, "past is 8; .* below the horizon 8"),
        ({"goal_length": 2}, "goal_length is 2; this network takes no goals"),
        ({"beta_start": 0.1}, "beta_start is 0.1 and beta_end 0.02; .* must not descend"),
        ({"prediction": "v"}, "prediction is 'v'; allowed: epsilon, sample"),
    ],
)
def test_shapes_that_no_network_has_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        UNetTeacherConfig(**{**SHAPE, **change}).check()


def test_the_state_is_read_once_for_all_actions_and_levels() -> None:
    network = UNetDenoiser(UNetTeacherConfig(**SHAPE).unet, 6, (8, 2), 1)
    context = network.encode(torch.zeros((5, 2, 3)), None)
    assert [part.shape for part in context] == [(5, 1, block.state.out_features) for block in network.blocks]
    read = [0]
    for block in network.blocks:
        block.state.register_forward_hook(lambda *_: read.__setitem__(0, read[0] + 1))
    network(context, torch.zeros((5, 7, 16)), torch.zeros((5, 7, 1)))
    assert read == [0]
