"""Another package's method with settings that cannot be options leaves `vdd distil` usable, and is named."""

import argparse
from pathlib import Path

import pytest
from plugins import installed

from vdd_ros.cli import distil
from vdd_ros.cli.main import main
from vdd_ros.learning.methods.offer import OWN_OPTIONS, offered_methods
from vdd_ros.learning.methods.registry import METHODS

SOURCE = '''
from dataclasses import dataclass, field

from vdd_ros.learning.configs import FitConfig
from vdd_ros.learning.methods.registry import Method


@dataclass(frozen=True, kw_only=True)
class Config(FitConfig):
    """Settings.

    Attributes:
        odd: A number.
    """

    steps: int = 5
    batch: int = 8
    learning_rate: float = 1e-3
    {setting}


METHOD = Method(
    name="odd", label="Odd", summary={summary}, structure="mixture", trains_from="teacher", config=Config, make=print,
    presets={presets},
)
'''


def source(setting: str = "odd: int = 1", summary: str = "'odd'", presets: str = "{}") -> str:
    return SOURCE.format(setting=setting, summary=summary, presets=presets)


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (source("odd: int | None = None"), "is int | None; take int, float, str, bool or Literal"),
        (source("odd: tuple[int, ...] = (1,)"), "is tuple[int, ...]; take int"),
        (source("odd: int = field(default_factory=int)"), "has no default"),
        (
            source("odd: int = field(default=1, metadata={'choices': lambda: 1 / 0})"),
            "choices that cannot be listed: Zero",
        ),
        (source("odd: 'Nowhere' = 1"), "have annotations that cannot be read: name 'Nowhere' is not defined"),
        (source("out: str = 'here'"), "'out' of 'odd' has the name of an option of `vdd distil` itself"),
        (source("batch: float = 1.5"), "'batch' of 'odd' is <class 'float'>, but <class 'int'> in 'vdd'; give it"),
        (source(summary="None"), "the method 'odd' has the summary 'None', which is not a text"),
        (source(presets="3"), "the method 'odd' has presets that are not a mapping"),
        (source(presets="{'tiny': {'even': 2}}"), "has a preset of 'even', which is not a setting of it"),
    ],
)
def test_what_cannot_be_offered_is_named_and_the_rest_is_usable(
    module: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with installed(METHODS, tmp_path, "odd", module, "METHOD"):
        assert main(["distil", "--method", "odd", "--out", "S", "--teacher", "T"]) == 2
        assert problem in capsys.readouterr().err
        methods, broken = offered_methods()
        assert [one.name for one in methods] == [
            "vdd",
            "cd",
            "ctm",
            "em",
            "imc",
            "diff-instruct",
            "em-distil",
            "shortcut",
            "srpo",
        ]
        assert list(broken) == ["odd"]


def test_the_summary_of_a_method_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = source(summary=r"'100 % \x1b[31mred\n'")
    with installed(METHODS, tmp_path, "odd", module, "METHOD"), pytest.raises(SystemExit, match="0"):
        main(["distil", "--help"])
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert r"(100 % \x1b[31mred\n)" in " ".join(text.split()).replace("- ", "-")


def test_the_own_options_are_those_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    distil.add_arguments(parser)
    settings = {name for method in offered_methods()[0] for name in method.settings}
    assert {action.dest for action in parser._actions} - settings == OWN_OPTIONS
