"""Registries: names from entry points of installed packages, imported only when they are asked for."""

import sys
from pathlib import Path

import pytest

from vdd_ros.errors import PluginError, TaskError
from vdd_ros.registry import Registry


def install(folder: Path, name: str, points: str, module: str = "") -> None:
    """Write what pip leaves of a package: its metadata with entry points, and one module."""
    metadata = folder / f"{name}-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(f"[vdd_ros.test]\n{points}\n")
    (folder / f"{name}.py").write_text(module)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def registry() -> Registry[int]:
    return Registry("vdd_ros.test", "number", int, TaskError, {"one": "vdd_ros.mcap_test:ONE", "size": "sys:maxsize"})


def test_what_ships_is_found_without_any_other_package() -> None:
    assert registry().names() == ["one", "size"]
    assert registry().get("size") == sys.maxsize


def test_another_package_adds_a_name_that_is_imported_only_when_it_is_asked_for(site: Path) -> None:
    install(site, "added_number", "seven = added_number:SEVEN", "SEVEN = 7")
    numbers = registry()
    assert numbers.names() == ["one", "seven", "size"]
    assert "added_number" not in sys.modules
    assert numbers.get("seven") == 7
    del sys.modules["added_number"]
    assert numbers.get("seven") == 7


def test_an_unknown_name_is_refused_with_the_nearest_one(site: Path) -> None:
    with pytest.raises(TaskError, match="unknown number 'sise'; known: one, size; did you mean 'size'"):
        registry().get("sise")


@pytest.mark.parametrize(
    ("points", "module", "message"),
    [
        ("seven = broken_number:SEVEN", "import nowhere", r"of broken_number 1.2 cannot be imported .*No module named"),
        ("seven = broken_number:SEVEN", "raise GeneratorExit", "broken_number 1.2 cannot be imported .*GeneratorExit"),
        ("seven = broken_number:SEVEN", "raise SystemExit(0)", "broken_number 1.2 cannot be imported .*SystemExit: 0"),
        (
            "seven = broken_number:SEVEN",
            "from vdd_ros.errors import TaskError\nraise TaskError('unknown task')",
            "broken_number 1.2 cannot be imported .*TaskError: unknown task",
        ),
        ("seven = broken_number:EIGHT", "SEVEN = 7", "broken_number 1.2 cannot be imported .*EIGHT"),
        ("seven = broken_number:SEVEN", "SEVEN = 'seven'", "broken_number 1.2 is a str; it must be a builtins.int"),
    ],
)
def test_what_cannot_be_used_is_reported_with_its_package(
    points: str, module: str, message: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "broken_number", points, module)
    monkeypatch.delitem(sys.modules, "broken_number", raising=False)
    with pytest.raises(PluginError, match=message):
        registry().get("seven")


def test_a_name_of_two_packages_is_refused_with_both_and_the_others_are_usable(site: Path) -> None:
    install(site, "first_number", "seven = first_number:SEVEN", "SEVEN = 7")
    install(site, "second_number", "seven = second_number:SEVEN", "SEVEN = 7")
    numbers = registry()
    assert numbers.names() == ["one", "seven", "size"]
    with pytest.raises(PluginError, match=r"first_number 1.2 and by second_number 1.2|second_number 1.2 and by first"):
        numbers.get("seven")
    assert numbers.get("size") == sys.maxsize


def test_a_shipped_name_of_another_package_is_refused_and_the_others_are_usable(site: Path) -> None:
    install(site, "bold_number", "size = bold_number:SEVEN", "SEVEN = 7")
    numbers = Registry("vdd_ros.test", "number", int, TaskError, {"size": "sys:maxsize", "depth": "sys:maxunicode"})
    with pytest.raises(PluginError, match=r"bold_number 1.2 registers number 'size', which ships with"):
        numbers.get("size")
    usable, broken = numbers.usable()
    assert (usable, list(broken)) == ({"depth": sys.maxunicode}, ["size"])


def test_a_member_is_told_whether_its_name_is_taken(site: Path) -> None:
    install(site, "first_number", "seven = first_number:SEVEN\neight = first_number:SEVEN", "SEVEN = 7")
    install(site, "second_number", "seven = second_number:SEVEN", "SEVEN = 7")
    numbers = Registry("vdd_ros.test", "number", int, TaskError, {"size": "sys:maxsize"})
    assert "number 'size' ships with vdd_ros" in numbers.taken("size", 7)
    assert "uninstall one of them" in numbers.taken("seven", 7)
    for name, member in (("size", sys.maxsize), ("eight", 7), ("nine", 9)):
        assert numbers.taken(name, member) == ""


def test_what_another_package_breaks_leaves_the_rest_usable(site: Path) -> None:
    install(site, "unusable_number", "eight = unusable_number:EIGHT", "import nowhere")
    install(site, "further_number", "seven = further_number:SEVEN", "SEVEN = 7")
    numbers = Registry("vdd_ros.test", "number", int, TaskError, {"size": "sys:maxsize"})
    usable, broken = numbers.usable()
    assert usable == {"size": sys.maxsize, "seven": 7}
    assert list(broken) == ["eight"]
    assert "No module named 'nowhere'" in str(broken["eight"])


def test_a_member_that_calls_itself_otherwise_is_refused(site: Path) -> None:
    install(site, "renamed_number", "eight = renamed_number:SEVEN", "SEVEN = 7")
    numbers = Registry("vdd_ros.test", "number", int, TaskError, {}, own_name=lambda one: {7: "seven"}[one])
    with pytest.raises(PluginError, match=r"'eight' of renamed_number 1.2 calls itself 'seven'; its entry point"):
        numbers.get("eight")
