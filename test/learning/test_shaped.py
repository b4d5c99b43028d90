"""The shape of a network from the settings of a training: what both have is taken, and sizes win."""

from dataclasses import fields

from vdd_ros.learning.configs import BackboneConfig, MixtureSettings, NoiseConfig, shaped
from vdd_ros.learning.diffusion.teacher import TeacherConfig
from vdd_ros.learning.methods.configs import EMConfig, TrainConfig
from vdd_ros.learning.students.mixture import StudentConfig

SIZES = {"history": 3, "obs_dim": 4, "horizon": 2, "act_dim": 7, "goal_length": 1}


def test_a_student_has_the_settings_of_its_training() -> None:
    config = EMConfig(width=12, heads=2, experts=5, covariance="full", floor=0.1, history=9, dropout=0.2)
    found = shaped(StudentConfig, config, SIZES)
    assert {name: getattr(found, name) for name in SIZES} == SIZES
    for part in (BackboneConfig, MixtureSettings):
        for field in fields(part):
            assert getattr(found, field.name) == getattr(config, field.name)


def test_a_teacher_has_its_noise_levels_and_kind() -> None:
    config = TrainConfig(teacher="beso", levels=7, sigma_min=0.1, sigma_max=2.0, sigma_data=0.7, backbone="mlp")
    found = shaped(TeacherConfig, config, SIZES, kind=config.teacher)
    assert (found.kind, found.backbone, found.history) == ("beso", "mlp", 3)
    assert all(getattr(found, one.name) == getattr(config, one.name) for one in fields(NoiseConfig))
