import json
from pathlib import Path
from typing import Any

import pytest

from vdd_ros.documents import _object, parse_json, parse_yaml, read_json, read_yaml
from vdd_ros.errors import ConfigurationError
from vdd_ros.text import printable

BILLIONS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = "".join(f"- &a{k} {'[' * 50}{f'*a{k - 1}' if k else 1}{']' * 50}\n" for k in range(50))
"""50 lines, none nested deeper than 51 levels, that expand to 2,500."""


def test_what_is_good_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text('{"a": [1, 2.5, null, {"b": "ä"}]}')
    assert read_json(file, ConfigurationError) == read_yaml(file, ConfigurationError) == json.loads(file.read_text())
    merged = parse_yaml("base: &b {x: 1}\nmore: {<<: *b, y: 2}", "s", ConfigurationError)
    assert merged == {"base": {"x": 1}, "more": {"x": 1, "y": 2}}
    assert parse_yaml("", "s", ConfigurationError) is None
    assert parse_json(b"\xef\xbb\xbf1", "s", ConfigurationError) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is duplicated"),
        ("[" * 65 + "1" + "]" * 65, "deeper than 64"),
        ("[" * 100_000, "not JSON"),
        ("9" * 100_000, "not JSON"),
        (b"\xff", "UTF-8"),
        ('{"\x1b[2J": 1, "\x1b[2J": 1}', "not JSON"),
    ],
)
def test_bad_json_is_refused(text: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_json(text, "settings.json", ConfigurationError)
    assert str(caught.value).startswith("settings.json ") and len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


def test_a_key_that_comes_twice_is_found_at_once() -> None:
    class Name(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"a{k}") for k in range(1_000)]
    with pytest.raises(ValueError, match="'a999' is duplicated"):
        _object([(name, 0) for name in [*names, Name("a999")]])
    assert Name.compared < 10_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("a: 1\nb: 2\na: 3", "'a' twice, in lines 1 and 3"),
        ("a: 1\n---\nb: 2", "not YAML"),
        ("a: &x [*x]", "holds itself"),
        ("[" * 65 + "1" + "]" * 65, "deeper than 64"),
        ("[" * 2000, "too deep|not YAML"),
        (BILLIONS, "more than 100,000 values"),
        ("!!python/object/apply:os.getcwd []", "not YAML"),
        ("[1, 2]: 3", "not YAML"),
        ("a: 2020-13-45", "not YAML"),
        ("a: !!bool x", "not YAML"),
        ('a: !!int ""', "not YAML"),
        ("a: !!timestamp x", "not YAML"),
        ("a: " + "1:" * 300 + "1.5", "not YAML"),
        ("a: " + "1:" * 50_000 + "1", "a number has at most 1,000 characters"),
        (DEEP, "deeper than 64"),
    ],
)
def test_bad_yaml_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_yaml(text, "robot.yaml", ConfigurationError)
    assert str(caught.value).startswith("robot.yaml ") and len(str(caught.value)) < 600


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_files_that_cannot_be_read_are_reported(read: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        read(tmp_path / "none", ConfigurationError)
    with pytest.raises(ConfigurationError, match="is a folder; give a file"):
        read(tmp_path, ConfigurationError)
    (tmp_path / "big").write_text("1" * 11)
    with pytest.raises(ConfigurationError, match="more than 10 bytes"):
        read(tmp_path / "big", ConfigurationError, max_bytes=10)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("joint_1 ü 関節", "joint_1 ü 関節"),
        ("a\x1b[31mb\nc\x9b", "a\\x1b[31mb\\nc\\x9b"),
        ("\u202eabc\u2028", "\\u202eabc\\u2028"),
        ("\ud800", "\\ud800"),
        (12, "12"),
    ],
)
def test_foreign_text_is_one_harmless_line(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_clipped() -> None:
    assert printable("x" * 20_000_000, 10) == "x" * 10 + "… (20,000,000 characters)"
