"""GPUs for tests: on machines without one, and with a provider that is not granted, the test is skipped."""

from pathlib import Path

import pytest

from vdd_ros.errors import ProviderError
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.providers import ProviderSettings

ON_GPU = pytest.mark.parametrize(
    "settings",
    [ProviderSettings("cuda"), ProviderSettings("cuda", cuda_graph=True), ProviderSettings("tensorrt")],
    ids=["cuda", "cuda_graph", "tensorrt"],
)


def load_on_gpu(path: Path, settings: ProviderSettings, expert: str = "sample") -> OnnxPolicy:
    """Load a policy and warm it up, or skip without such a GPU."""
    try:
        policy = OnnxPolicy.load(path, provider=settings, expert=expert, seed=3)
    except ProviderError as error:
        pytest.skip(str(error)[:200])
    policy.warm_up()
    return policy
