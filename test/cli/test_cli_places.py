"""Where results go is looked at before the work begins, and a table is printed before anything is written."""

import argparse
import errno
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from bag_files import LABELS, write_bag
from policy_files import write_diffusion, write_mixture

from vdd_ros.cli.main import COMMANDS, main
from vdd_ros.cli.numbers import Whole
from vdd_ros.errors import ConfigurationError
from vdd_ros.places import OutputFile, OutputFolder, check_places
from vdd_ros.policy.spec import Novelty
from vdd_ros.tasks import get_task

FILES = {"--json", "--append", "--figure", "--html", "--docs", "--results"}
FOLDERS = {"--out", "--figures", "--report", "--work", "--record"}


def parsers(command: str) -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    """Yield the parsers of a command that take options, with the words that lead to them."""
    module = importlib.import_module(f"vdd_ros.cli.{command}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    found = [([command], parser)]
    for words, outer in found:
        for action in outer._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [([*words, name], inner) for name, inner in action.choices.items()]
    yield from ((words, one) for words, one in found if one._subparsers is None)


def example(action: argparse.Action, number: int) -> str:
    """Return a value that the parser takes for an argument."""
    if action.choices:
        return str(next(iter(action.choices)))
    return "1" if isinstance(action.type, Whole) else f"x{number}"


def options() -> Iterator[tuple[list[str], str]]:
    """Yield a command line that is enough, and an option of it that names a place to write to."""
    for command in COMMANDS:
        for words, parser in parsers(command):
            needed = list(words)
            for number, action in enumerate(parser._actions):
                if action.required:
                    needed += [*action.option_strings[:1], example(action, number)]
            for group in parser._mutually_exclusive_groups:
                if group.required:
                    needed += [group._group_actions[0].option_strings[0], "x"]
            for action in parser._actions:
                if set(action.option_strings) & (FILES | FOLDERS):
                    yield needed, action.option_strings[0]


PLACES = list(options())


def test_there_are_places() -> None:
    assert {words[0] for words, _ in PLACES} == set(COMMANDS)


@pytest.mark.parametrize(("words", "option"), PLACES, ids=lambda value: value if isinstance(value, str) else value[0])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    words: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(_: argparse.Namespace) -> int:
        raise AssertionError("the work has begun")

    monkeypatch.setattr(command_of(words), "run", never)
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    assert main([*words, option, "file/below/it"]) == 2
    message = capsys.readouterr().err
    assert f"{option} file/below/it cannot be written" in message
    assert "Traceback" not in message


def command_of(words: list[str]) -> ModuleType:
    return importlib.import_module(f"vdd_ros.cli.{words[0]}")


def refused(**places: Path | list[Path]) -> str:
    """Return why places are refused."""
    with pytest.raises(ConfigurationError) as caught:
        check_places(argparse.Namespace(**places))
    return str(caught.value)


def test_folders_and_files_in_each_other_s_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--json" in (text := refused(json=OutputFile(tmp_path))) and "is a folder; name a file" in text
    assert "is a file; name a folder" in refused(figures=OutputFolder(tmp_path / "file"))


def test_what_is_write_protected_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so what the system says is put in its mouth."""
    file = tmp_path / "results.json"
    file.write_text("{}")
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != file)
    assert "is write-protected; name another file or change its mode" in refused(json=OutputFile(file))
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != tmp_path)
    assert f"the folder {tmp_path} is write-protected" in refused(json=OutputFile(tmp_path / "a" / "b.json"))
    assert f"the folder {tmp_path} is write-protected" in refused(out=OutputFolder(tmp_path / "a" / "b"))


def test_names_that_the_file_system_cannot_hold_are_refused(tmp_path: Path) -> None:
    assert "File name too long" in refused(json=OutputFile(tmp_path / ("x" * 300)))
    assert "File name too long" in refused(out=OutputFolder(tmp_path / ("x" * 300)))


def test_an_input_is_no_place_for_a_result(tmp_path: Path) -> None:
    """Such as `vdd evaluate student.onnx --json student.onnx`."""
    file, link = tmp_path / "student.onnx", tmp_path / "link.onnx"
    file.write_bytes(b"weights")
    link.symlink_to(file)
    assert "is read by this command too (policy)" in refused(policy=file, json=OutputFile(link))
    assert "is written by this command too (html)" in refused(json=OutputFile("a"), html=OutputFile("./a"))
    assert "is read by this command too (bag)" in refused(bag=[Path("other"), file], figure=OutputFile(file))


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path: Path) -> None:
    places = [tmp_path / "a" / "b" / "results.json", tmp_path / "new.json", Path("/dev/null"), Path("/dev/stdout")]
    for place in places:
        check_places(argparse.Namespace(json=OutputFile(place), out=OutputFolder(tmp_path / "c" / "d"), policy=None))
    assert list(tmp_path.iterdir()) == []


def fail_to_replace(source: object, target: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))


def lines_of_command(name: str, folder: Path) -> list[str]:
    """Return the command line of a quick run."""
    if name == "latency":
        values = np.zeros((100, len(LABELS)))
        values[:, LABELS.index("seq")] = np.arange(100)
        return [name, str(write_bag(folder / "bag", {"/student": values}, {"/student": {"kind": "vdd"}}))]
    policy = write_mixture(folder / "student.onnx", novelty=Novelty(4.0, 0.999, 8), task="avoiding")
    if name == "evaluate":
        return [name, str(policy), "--rollouts", "2"]
    if name == "prebuild":
        return [name, str(policy), "--runs", "2"]
    if name == "doctor":
        return [name, "--sleeps", "2"]
    demos = folder / "demos"
    get_task("avoiding").demonstrate(2, 7, lambda: None).save(demos)
    if name == "novelty":
        return [name, str(policy), "--demos", str(demos), "--rollouts", "0"]
    teacher = write_diffusion(folder / "teacher.onnx", steps=3)
    return ["fidelity", str(teacher), str(policy), "--demos", str(demos), "--states", "4", "--samples", "32"]


@pytest.mark.parametrize("name", ["latency", "evaluate", "prebuild", "doctor", "novelty", "fidelity"])
def test_a_table_is_there_where_its_file_could_not_be_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = lines_of_command(name, tmp_path)
    target = tmp_path / "numbers.json"
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_to_replace)
        assert main([*words, "--json", str(target)]) == 2
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) > 2
    assert printed.err.splitlines()[-1] == (
        f"vdd {name}: error: {target} could not be written: No space left on device"
    )
    assert not target.exists()


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    from vdd_ros.documents import write_json

    write_json(tmp_path / "a.json", {"a": [float("nan"), 1.0], "b": float("inf")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 1.0], "b": None}
