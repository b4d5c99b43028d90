"""Settings by name: the paper's (from its public configurations, see docs/method.md), and ours beside them.

A preset changes defaults; options given beside it change the preset.
"""

from typing import Any

_PAPER_GPT = {"backbone": "gpt", "width": 72, "layers": 4, "heads": 4, "octaves": 0}
_PAPER_TEACHER = {
    **_PAPER_GPT,
    "history": 5,
    "batch": 1024,
    "optimizer": "adamw",
    "learning_rate": 5e-4,
    "weight_decay": 0.0,
    "levels_per_state": 1,
}
_PAPER_TEACHER |= {"observation_noise": 0.0}
_PAPER_STUDENT: dict[str, Any] = {
    **_PAPER_GPT,
    "update": "paper",
    "gating_on": "data",
    "gating_every": 2,
    "detach_gating": True,
    "experts": 8,
    "head_width": 512,
    "head_layers": 1,
    "expert_start": "box",
    "start_bound": 1.0,
    "floor": 1e-4,
    "draws": 0,
    "samples": 2,
    "noise_scheme": "uniform",
    "uniform_weight": 0.0,
    "forward_kl": 0.0,
    "observation_noise": 0.0,
    "batch": 1024,
    "optimizer": "adamw",
    "learning_rate": 1e-4,
    "decay": "linear",
    "weight_decay": 0.0,
    "ema_decay": 0.0,
}
_LARGE_GPT = {"heads": 12, "width": 240}

TRAIN_PRESETS: dict[str, dict[str, Any]] = {
    "mlp": {"backbone": "mlp", "width": 224, "history": 2, "levels_per_state": 1, "batch": 512, "steps": 3_000},
    "paper-avoiding-ddpm": {**_PAPER_TEACHER, "teacher": "ddpm", "levels": 8, "dropout": 0.1, "ema_decay": 0.995},
    "paper-avoiding-beso": {**_PAPER_TEACHER, "teacher": "beso", "sigma_min": 0.1, "sigma_max": 1.0},
    "paper-aligning-ddpm": {**_PAPER_TEACHER, "teacher": "ddpm", "levels": 16, "dropout": 0.1, "ema_decay": 0.995},
    "paper-kitchen-beso": {
        **_PAPER_TEACHER,
        **{"teacher": "beso", "layers": 6, "heads": 6, "width": 360, "history": 4, "goal_length": 2},
        **{"sigma_min": 0.005, "sigma_max": 1.0, "dropout": 0.3, "learning_rate": 1e-4, "steps": 40_000},
    },
    "paper-block-push-beso": {
        **_PAPER_TEACHER,
        **{"teacher": "beso", **_LARGE_GPT, "goal_length": 1, "sigma_min": 0.05, "sigma_max": 1.0},
        **{"dropout": 0.05, "learning_rate": 1e-4, "steps": 60_000},
    },
}

VDD_PRESETS: dict[str, dict[str, Any]] = {
    "mlp": {"backbone": "mlp", "width": 160, "layers": 3},
    "paper-avoiding-beso": {
        **_PAPER_STUDENT,
        **{"covariance": "full", "dropout": 0.1, "min_noise": 0.2, "max_noise": 0.5, "steps": 40_001},
    },
    "paper-avoiding-ddpm": {
        **_PAPER_STUDENT,
        **{"covariance": "diagonal", "dropout": 0.1, "min_noise": 0.4, "max_noise": 1.6, "steps": 20_001},
    },
    "paper-aligning-ddpm": {
        **_PAPER_STUDENT,
        **{"covariance": "full", "head_layers": 2, "start_bound": 0.2, "dropout": 0.1, "steps": 40_001},
        **{"noise_scheme": "fixed", "min_noise": 0.54, "max_noise": 0.55},
    },
    "paper-kitchen-beso": {
        **_PAPER_STUDENT,
        **{"layers": 6, **_LARGE_GPT, "experts": 4, "covariance": "full", "head_layers": 2, "head_width": 256},
        **{"dropout": 0.1, "noise_scheme": "fixed", "min_noise": 0.1, "max_noise": 0.1, "steps": 20_001},
    },
    "paper-block-push-beso": {
        **_PAPER_STUDENT,
        **{**_LARGE_GPT, "experts": 4, "covariance": "full", "head_layers": 2, "dropout": 0.05},
        **{"min_noise": 0.2, "max_noise": 0.5, "steps": 20_001},
    },
}

MIXTURE_PRESETS: dict[str, dict[str, Any]] = {"mlp": {"backbone": "mlp", "width": 160, "layers": 3, "history": 2}}
