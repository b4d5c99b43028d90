"""The description of each setting in `vdd COMMAND --help`."""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from typing import Any

import pytest

from vdd_ros.cli.main import COMMANDS
from vdd_ros.learning.field_docs import field_docs
from vdd_ros.learning.methods.configs import (
    CDConfig,
    CTMConfig,
    DistilConfig,
    EMConfig,
    ExportConfig,
    IMCConfig,
    TrainConfig,
)
from vdd_ros.tasks import task_names

WITHOUT_FIGURES: dict[tuple[str, ...], str] = {
    ("demos", "convert"): "writes a data set, which vdd demos info describes",
    ("demos", "describe"): "writes a description, which is a file to edit",
    ("robot", "schema"): "prints JSON itself",
}
"""Commands that print no figure of their own, with the reason why they need no --json."""


def parsers(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Yield every command that can be called, with its options."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield words, {option for action in parser._actions for option in action.option_strings}
    for action in below:
        for name, subparser in action.choices.items():
            yield from parsers(subparser, (*words, name))


def commands() -> dict[tuple[str, ...], set[str]]:
    found: dict[tuple[str, ...], set[str]] = {}
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        import_module(f"vdd_ros.cli.{name}").add_arguments(parser)
        found |= dict(parsers(parser, (name,)))
    return found


def test_every_command_that_prints_figures_writes_them_as_json() -> None:
    lacking = {words for words, options in commands().items() if "--json" not in options}
    assert lacking == set(WITHOUT_FIGURES)


def test_what_many_workers_can_do_takes_both_options() -> None:
    sharing = {words for words, options in commands().items() if "--jobs" in options}
    assert sharing == {*(("demos", task) for task in task_names()), ("evaluate",), ("benchmark", "methods")}
    assert sharing == {words for words, options in commands().items() if "--ray" in options}


@pytest.mark.parametrize("config", [TrainConfig, DistilConfig, CDConfig, CTMConfig, EMConfig, IMCConfig, ExportConfig])
def test_every_setting_has_a_text_of_its_own(config: type[Any]) -> None:
    """Two options with one text leave open which is which."""
    docs = field_docs(config)
    texts = Counter(docs[field.name] for field in fields(config))
    assert [text for text, times in texts.items() if times > 1] == []
