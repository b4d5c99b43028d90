"""The methods that ship with vdd_ros."""

from vdd_ros.learning.methods.configs import CDConfig, CTMConfig, DistilConfig, EMConfig, IMCConfig
from vdd_ros.learning.methods.distiller_configs import (
    DiffInstructConfig,
    EMDistilConfig,
    ShortcutConfig,
    SRPOConfig,
)
from vdd_ros.learning.methods.presets import MIXTURE_PRESETS, VDD_PRESETS
from vdd_ros.learning.methods.registry import Method
from vdd_ros.registry import imported

VDD = Method(
    name="vdd",
    label="VDD",
    summary="variational diffusion distillation",
    structure="mixture",
    trains_from="teacher",
    config=DistilConfig,
    make=imported("vdd_ros.learning.methods.vdd:vdd_job"),
    presets=VDD_PRESETS,
)
CD = Method(
    name="cd",
    label="CD",
    summary="consistency distillation",
    structure="one_step",
    trains_from="teacher",
    config=CDConfig,
    make=imported("vdd_ros.learning.methods.consistency:cd_job"),
)
CTM = Method(
    name="ctm",
    label="CTM",
    summary="consistency trajectory model",
    structure="one_step",
    trains_from="teacher",
    config=CTMConfig,
    make=imported("vdd_ros.learning.methods.consistency:ctm_job"),
)
EM = Method(
    name="em",
    label="EM",
    summary="expectation maximisation",
    structure="mixture",
    trains_from="data",
    config=EMConfig,
    make=imported("vdd_ros.learning.methods.maximum_likelihood:mixture_job"),
    presets=MIXTURE_PRESETS,
)
IMC = Method(
    name="imc",
    label="IMC",
    summary="information maximising curriculum",
    structure="mixture",
    trains_from="data",
    config=IMCConfig,
    make=imported("vdd_ros.learning.methods.maximum_likelihood:mixture_job"),
    presets=MIXTURE_PRESETS,
)
DIFF_INSTRUCT = Method(
    name="diff-instruct",
    label="Diff-Instruct",
    summary="one-step generator by a learned score",
    structure="one_step",
    trains_from="teacher",
    config=DiffInstructConfig,
    make=imported("vdd_ros.learning.methods.diff_instruct:diff_instruct_job"),
)
EM_DISTIL = Method(
    name="em-distil",
    label="EM distillation",
    summary="one-step generator by maximum likelihood",
    structure="one_step",
    trains_from="teacher",
    config=EMDistilConfig,
    make=imported("vdd_ros.learning.methods.em_distil:em_distil_job"),
)
SHORTCUT = Method(
    name="shortcut",
    label="Shortcut",
    summary="shortcut model",
    structure="one_step",
    trains_from="teacher",
    config=ShortcutConfig,
    make=imported("vdd_ros.learning.methods.shortcut:shortcut_job"),
)
SRPO = Method(
    name="srpo",
    label="SRPO",
    summary="score regularised policy optimisation, one action",
    structure="mixture",
    trains_from="teacher",
    config=SRPOConfig,
    make=imported("vdd_ros.learning.methods.srpo:srpo_job"),
)
