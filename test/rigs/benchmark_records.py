"""Made-up trials of a benchmark."""

from typing import Any, cast

from vdd_ros.benchmark.methods.matrix import METHODS, Model, Trial
from vdd_ros.benchmark.methods.results import KEYS, Record
from vdd_ros.benchmark.methods.tables import MIXTURES
from vdd_ros.tasks.metrics import wilson_interval

MACHINE = {"cpu": "Test CPU", "cores": 2}


def record(method: str, seed: int = 0, *, backbone: str = "gpt", variant: str | None = None, **changes: Any) -> Record:
    """Return a trial of Avoiding: 456 of 480 rollouts succeed, entropy 0.9 ± 0.02, unless overridden."""
    trial = Trial(method, Model.of("avoiding", METHODS[method].model, backbone, seed, variant))
    made: dict[str, Any] = dict.fromkeys(KEYS) | {
        **{"task": "avoiding", "backbone": backbone, "method": method, "variant": variant, "seed": seed},
        **{"teacher": trial.teacher, "experts": 8 if method in MIXTURES else None},
        **{"rollouts": 480, "success": 0.95, "success_interval": list(wilson_interval(456, 480)), "modes_found": 24},
        **{"entropy": 0.9, "entropy_interval": [0.88, 0.92], "steps": METHODS[method].steps or 1, "sampler": None},
        **{"inference_s_p50": 0.001, "inference_at": "now", "inference_machine": MACHINE, "machine": MACHINE},
        **{"train_s": 100.0, "distil_s": None, "settings": {"gating": "learned", "noise_scheme": "log-uniform"}},
    }
    return cast(Record, made | changes)
