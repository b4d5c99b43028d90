"""Policies on a real GPU: the answers of the CPU, and loading one beside another that acts."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from checkout import CHECKOUT
from gpu_rig import ON_GPU, load_on_gpu
from numpy.testing import assert_allclose
from policy_files import write_mixture, write_policy

from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.providers import ProviderSettings

OBSERVATION = np.array([[0.4, 0.1, 0.5, 0.2]])

pytestmark = ON_GPU


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep TensorRT's engines out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("kind", ["vdd", "ddpm"])
def test_a_gpu_gives_the_answer_of_the_cpu(tmp_path: Path, kind: str, settings: ProviderSettings) -> None:
    """With either binding."""
    path = write_policy(tmp_path / "p.onnx", kind)
    policy, expected = load_on_gpu(path, settings), OnnxPolicy.load(path, seed=3)
    for way in policy._single._bindings:
        policy._single._use(way)
        for _ in range(3):
            assert_allclose(policy.act(OBSERVATION).action, expected.act(OBSERVATION).action, atol=1e-6)


@pytest.mark.parametrize("shipped", ["avoiding_student.onnx", "avoiding_teacher.onnx"])
def test_shipped_policies_do_too(shipped: str, settings: ProviderSettings) -> None:
    """Over the range of the demonstrations; the same expert, likelihood and novelty."""
    path = CHECKOUT / "models" / shipped
    policy, expected = load_on_gpu(path, settings), OnnxPolicy.load(path, seed=3)
    spec = policy.spec
    mean, std = np.array(spec.statistics.observation_mean), np.array(spec.statistics.observation_std)
    random = np.random.default_rng(0)
    for _ in range(50):
        observation = mean + std * random.uniform(-1.5, 1.5, (spec.history, spec.obs_dim))
        found, wanted = policy.act(observation), expected.act(observation)
        assert_allclose(found.action, wanted.action, atol=1e-5)
        assert found.expert == wanted.expert
        assert found.log_prob == pytest.approx(wanted.log_prob, abs=1e-2)
        assert found.novelty == pytest.approx(wanted.novelty, rel=1e-4, abs=1e-3)


def test_a_policy_is_loaded_beside_runs_of_another(tmp_path: Path, settings: ProviderSettings) -> None:
    """As a hot swap does: neither fails, and both give their answers."""
    paths = [write_mixture(tmp_path / f"{seed}.onnx", seed=seed) for seed in (0, 1)]
    expected = [OnnxPolicy.load(path, expert="greedy").act(OBSERVATION).action.copy() for path in paths]
    acting = load_on_gpu(paths[0], settings, "greedy")
    stop = Event()

    def act() -> int:
        runs = 0
        while not stop.is_set():
            assert_allclose(acting.act(OBSERVATION).action, expected[0], atol=1e-6)
            runs += 1
        return runs

    with ThreadPoolExecutor(1) as pool:
        runs = pool.submit(act)
        try:
            for _ in range(20):
                loaded = OnnxPolicy.load(paths[1], provider=settings, expert="greedy")
                loaded.warm_up()
                assert_allclose(loaded.act(OBSERVATION).action, expected[1], atol=1e-6)
        finally:
            stop.set()
        assert runs.result() > 20
