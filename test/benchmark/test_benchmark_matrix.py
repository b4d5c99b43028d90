"""The trials of a benchmark, their order, and their distribution over processes."""

import argparse

import pytest

pytest.importorskip("torch")

from vdd_ros.benchmark.methods.matrix import METHODS, SOURCES, UPDATES, VARIANTS, expand, expand_variants, unique
from vdd_ros.benchmark.methods.training import lasting_settings, make_config
from vdd_ros.cli.benchmark.methods import _trials, add_arguments


def test_teachers_have_one_seed_and_all_others_each() -> None:
    trials = expand(["avoiding"], METHODS, 3, "gpt")
    by_method = {name: [trial.model.seed for trial in trials if trial.method == name] for name in METHODS}
    assert len(trials) == 10 + 11 * 3
    assert all(seeds == ([0] if METHODS[name].steps else [0, 1, 2]) for name, seeds in by_method.items())


def test_both_teachers_are_measured_with_1_2_4_8_and_16_steps_of_one_model() -> None:
    trials = [trial for trial in expand(["avoiding"], METHODS, 1, "gpt") if trial.sampling]
    steps = {name: sorted(c.sampling["steps"] for c in trials if c.model.name == name) for name in ("ddpm", "beso")}
    assert steps == {"ddpm": [1, 2, 4, 8, 16], "beso": [1, 2, 4, 8, 16]}
    assert len({trial.model for trial in trials}) == 2


def test_each_task_has_the_backbone_of_its_default_preset_unless_one_is_given() -> None:
    tasks = ["pushing", "avoiding", "avoiding:human", "example_arm"]
    assert [trial.model.backbone for trial in expand(tasks, ["em"], 1)] == ["mlp", "gpt", "gpt", "gpt"]
    assert {trial.model.backbone for trial in expand(tasks, METHODS, 2, "mlp")} == {"mlp"}


def test_teachers_come_before_what_is_distilled_from_them() -> None:
    trials = expand(["avoiding"], ["vdd-beso", "em", "beso", "cd", "vdd-ddpm", "ddpm"], 2, "gpt")
    place = {trial.model: number for number, trial in reversed(list(enumerate(trials)))}
    distilled = [model for model in place if model.teacher]
    assert len(distilled) == 6
    assert all(place[model.teacher] < place[model] for model in distilled if model.teacher)


def test_a_student_has_the_teacher_of_its_own_backbone_and_of_seed_0() -> None:
    teacher = expand(["avoiding"], ["vdd-beso"], 3, "mlp")[2].model.teacher
    assert teacher is not None
    assert (teacher.name, teacher.backbone, teacher.seed) == ("beso", "mlp", 0)


def test_the_ablations_vary_experts_gating_and_noise_beside_teacher_and_student() -> None:
    trials = expand_variants(["avoiding"], VARIANTS, 1, "mlp")
    assert [trial.method for trial in trials if trial.model.variant is None] == ["beso", "vdd-beso"]
    configs = {
        trial.model.variant: lasting_settings(make_config(trial.model, "cpu", None))
        for trial in trials
        if trial.method == "vdd-beso"
    }
    usual = configs.pop(None)
    assert set(configs) == set(VARIANTS)
    assert [configs[f"experts-{n}"]["experts"] for n in (1, 2, 4, 8, 16)] == [1, 2, 4, 8, 16]
    for variant, changes in VARIANTS.items():
        assert configs[variant] == usual | changes


def test_what_two_parts_of_a_benchmark_share_is_there_once() -> None:
    trials = unique([*expand(["avoiding"], METHODS, 1, "mlp"), *expand_variants(["avoiding"], VARIANTS, 1, "mlp")])
    labels = [trial.label for trial in trials]
    assert len(set(labels)) == len(labels) == len(METHODS) + len(VARIANTS)


@pytest.mark.parametrize("backbone", ["gpt", "mlp"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_model_can_be_configured(name: str, backbone: str) -> None:
    model = next(c.model for c in expand(["avoiding"], METHODS, 2, backbone) if c.model.name == name)
    config = make_config(model, "cpu", 7)
    assert (config.steps, config.seed, config.device) == (7, 0, "cpu")
    assert getattr(config, "backbone", backbone) == backbone


def test_settings_do_not_depend_on_the_device() -> None:
    model = expand(["avoiding"], ["beso"], 1, "gpt")[0].model
    assert lasting_settings(make_config(model, "cpu", None)) == lasting_settings(make_config(model, "auto", None))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["--updates"], list(UPDATES)),
        (["--updates", "paper-data-0.5", "multi-noise-teacher-0.0"], ["paper-data-0.5", "multi-noise-teacher-0.0"]),
    ],
)
def test_some_updates_can_be_compared_alone(given: list[str], expected: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--tasks", "avoiding", "--methods", "none", *given])
    assert [trial.model.variant for trial in _trials(args) if trial.model.variant] == expected
