"""Public functions return types with documented content: no unspecific dictionaries."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "vdd_ros"
UNTYPED = re.compile(r"\b(dict|Dict|Mapping|MutableMapping)(\[(str, )?(typing\.)?Any\]|(?!\w|\[))")
ALLOWED = {
    "cli/options.py": "options that were given: keyword arguments of any method's configuration",
    "learning/methods/preset_choice.py": "settings of a preset: keyword arguments of any method's configuration",
    "tasks/gym.py": "gymnasium's interface: reset and step return an `info`",
}
"""What stays, and why."""


def untyped(text: str) -> Iterator[str]:
    """Yield the name of each public function whose return annotation has a dictionary of anything in it."""
    for name, function in public(ast.parse(text)):
        if function.returns is not None and UNTYPED.search(ast.unparse(function.returns)):
            yield name


def public(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and not part.name.startswith("_"):
            yield prefix + part.name, part
        elif isinstance(part, ast.ClassDef) and not part.name.startswith("_"):
            yield from public(part, f"{part.name}.")


def found() -> dict[str, list[str]]:
    """Return file to such functions, for every file that has some."""
    files = {file.relative_to(PACKAGE).as_posix(): list(untyped(file.read_text())) for file in PACKAGE.rglob("*.py")}
    return {file: names for file, names in files.items() if names}


def test_no_public_function_returns_a_dictionary_of_anything() -> None:
    wrong = {file: names for file, names in found().items() if file not in ALLOWED}
    assert wrong == {}, "return a dataclass or a TypedDict; JSON as it was parsed is vdd_ros.documents.Json"


def test_what_is_listed_is_needed() -> None:
    files = found()
    assert [name for name in ALLOWED if not any(file.startswith(name) for file in files)] == []


def test_such_functions_are_noticed() -> None:
    assert list(untyped("def a() -> dict[str, Any]: ...\nclass B:\n    def c(self) -> list[dict[str, Any]]: ...")) == [
        "a",
        "B.c",
    ]
    assert list(untyped("def a() -> tuple[Mapping[str, Any], bool]: ...\ndef b() -> dict | None: ...")) == ["a", "b"]
    fine = "def a() -> dict[str, float]: ...\ndef _b() -> dict[str, Any]: ...\ndef c() -> JsonObject: ...\n"
    assert list(untyped(fine + "def d() -> None: ...\ndef e() -> dict[str, NDArray[Any]]: ...")) == []
