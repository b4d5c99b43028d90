"""Every number of every command: invalid or out of range, it is refused on parsing, with exit code 2."""

import argparse
import dataclasses
import importlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from vdd_ros.cli.main import COMMANDS, _parser, main
from vdd_ros.cli.numbers import POSITIVE, SEED, Real, Whole
from vdd_ros.errors import ConfigurationError
from vdd_ros.learning.methods.configs import ExportConfig, TrainConfig
from vdd_ros.learning.methods.registry import METHODS


def options(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the arguments of a parser and of its actions, each with the words before it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                if path or name in COMMANDS:
                    yield from options(below, (*path, name))
        else:
            yield path, action


def of_all_commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    for command in COMMANDS:
        module = importlib.import_module(f"vdd_ros.cli.{command}")
        for path, action in options(_parser(command, module), ()):
            if path and path[0] == command:
                yield path, action


@pytest.fixture(scope="module")
def numbers() -> list[tuple[tuple[str, ...], Any]]:
    found = {
        (path, action.option_strings[0]): (path, action)
        for path, action in of_all_commands()
        if isinstance(action.type, Whole | Real)
    }
    return list(found.values())


def test_every_number_is_read_by_a_checked_type() -> None:
    """But for those with choices, such as --opset."""
    for path, action in of_all_commands():
        assert action.type not in (int, float) or action.choices, (path, action.option_strings)


def test_what_is_no_number_is_refused_with_code_2(
    numbers: list[tuple[tuple[str, ...], Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(numbers) > 80
    commands: dict[tuple[str, ...], list[Any]] = {}
    for path, action in numbers:
        commands.setdefault(path, []).append(action)
    for path, actions in commands.items():
        parser = _parser(path[0], importlib.import_module(f"vdd_ros.cli.{path[0]}"))
        for action in actions:
            for value in ("nan", "inf", "", "1e", "None", "9" * 5000):
                if value.isdigit() and action.type == Whole(None, None):
                    continue  # a setting; the configuration has its range
                with pytest.raises(ConfigurationError, match=rf"^{action.option_strings[-1]} is .*; it must be "):
                    parser.parse_args([*path, action.option_strings[0], value])
    assert main(["train", "--learning-rate", "nan"]) == 2
    assert "vdd train: error: --learning-rate is nan; it must be finite" in capsys.readouterr().err


def test_negative_numbers_are_refused(numbers: list[tuple[tuple[str, ...], Any]]) -> None:
    settings = {Whole(None, None), Real()}
    for path, action in numbers:
        if action.type in settings:
            continue
        parser = _parser(path[0], importlib.import_module(f"vdd_ros.cli.{path[0]}"))
        with pytest.raises(ConfigurationError, match=rf"^{action.option_strings[-1]} is -1; it must be "):
            parser.parse_args([*path, action.option_strings[0], "-1"])


@pytest.mark.parametrize("config", [TrainConfig, ExportConfig, *(METHODS.get(name).config for name in METHODS.names())])
def test_configurations_refuse_negative_settings(config: type) -> None:
    for field in dataclasses.fields(config):
        if type(field.default) in (int, float):
            with pytest.raises(ConfigurationError, match="-1"):
                config(**{field.name: -1 if isinstance(field.default, int) else -1.0})


@pytest.mark.parametrize(
    ("read", "text", "problem"),
    [
        (Whole(), "0", "is 0; it must be from 1 to 1,000,000"),
        (Whole(2, 1024), "1025", "is 1025; it must be from 2 to 1024"),
        (Whole(2, None), "1.5", "is '1.5'; it must be a whole number at least 2"),
        (Whole(None, None), "x\x1b[2J", r"is 'x\\x1b[2J'; it must be a whole number"),
        (SEED, str(2**32), "is 4294967296; it must be from 0 to 4,294,967,295"),
        (POSITIVE, "0", "is 0; it must be finite and above 0"),
        (POSITIVE, "", "is ''; it must be a number, finite and above 0"),
        (Real(1.5, 100_000), "1", "is 1; it must be from 1.5 to 100,000"),
        (Real(), "-inf", "is -inf; it must be finite"),
    ],
)
def test_a_refusal_says_the_value_and_what_is_allowed(read: Any, text: str, problem: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        read(text)
    assert str(caught.value) == problem


def test_numbers_in_range_are_taken() -> None:
    assert [Whole()("7"), Whole(0)("0"), SEED("4294967295"), Whole(None, None)("-3")] == [7, 0, 2**32 - 1, -3]
    assert [POSITIVE("1e-3"), Real()("-2"), Real(1.5, 3)("1.5")] == [0.001, -2.0, 1.5]
