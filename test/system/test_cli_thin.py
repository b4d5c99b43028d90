"""The modules of cli/ are thin: arguments, one call into a room, one table."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CLI = Path(__file__).resolve().parents[2] / "vdd_ros" / "cli"
# What commands share; each of them imports no command.
HELPERS = (
    "actions",
    "chunk_options",
    "failures",
    "main",
    "numbers",
    "options",
    "results",
    "threads",
    "training_report",
    "training_run",
)
PUBLIC = {"HELP", "add_arguments", "run"}
MAX_LINES = 120
MAX_HELPER_LINES = 150
MODULES = {
    ".".join(file.relative_to(CLI).with_suffix("").parts).removesuffix(".__init__"): file for file in CLI.rglob("*.py")
}
COMMANDS = sorted(name for name in MODULES if name not in (*HELPERS, "__init__"))


def broken(name: str, text: str) -> Iterator[str]:
    """Yield the rules that a command breaks."""
    tree = ast.parse(text)
    for node in tree.body:
        for defined in names_of(node):
            constant = isinstance(node, ast.Assign | ast.AnnAssign) and is_plain(node.value)
            if defined not in PUBLIC and not defined.startswith("_") and not constant:
                yield f"defines {defined}"
    for part in ast.walk(tree):
        if isinstance(part, ast.ClassDef):
            yield f"defines {part.name}"
        for imported in imports_of(part):
            if imported.partition(".")[0] in ("numpy", "dataclasses") and imported != "dataclasses.asdict":
                yield f"imports {imported}"
            if imported.startswith("vdd_ros.cli.") and is_other_command(imported.split(".")[2:], name):
                yield f"imports the command {imported}"
    if (lines := len(text.splitlines())) > MAX_LINES:
        yield f"has {lines} lines"


def names_of(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield node.name
    for target in (
        node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    ):
        yield ast.unparse(target)


def is_plain(value: ast.expr | None) -> bool:
    """Tell whether a value is a number or a text, or a tuple of them."""
    if isinstance(value, ast.Tuple):
        return all(is_plain(element) for element in value.elts)
    return isinstance(value, ast.Constant)


def imports_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_other_command(words: list[str], name: str) -> bool:
    """Return whether an import from cli/ is another command, except a sub-command of this one."""
    return words[0] not in HELPERS and words[0] != name.partition(".")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_thin(name: str) -> None:
    assert list(broken(name, MODULES[name].read_text())) == []


@pytest.mark.parametrize("name", HELPERS)
def test_what_commands_share_is_short_and_imports_none(name: str) -> None:
    text = MODULES[name].read_text()
    assert len(text.splitlines()) <= MAX_HELPER_LINES
    wrong = [rule for rule in broken(name, text) if rule.startswith("imports the command")]
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "import numpy as np",
        "from dataclasses import dataclass",
        "from vdd_ros.cli.train import run",
        "from vdd_ros.cli import train",
        "def run():\n    from vdd_ros.cli.train import run",
        "class Demo: ...",
        "def examine(): ...",
        "TABLE = {'vdd': print}",
        "\n" * MAX_LINES + "HELP = ''",
    ],
)
def test_what_is_not_thin_is_noticed(line: str) -> None:
    assert list(broken("demo", line)) != []


def test_what_is_thin_passes() -> None:
    text = (
        "from vdd_ros.cli.results import keep_result\nHELP = ''\nLEAST = 1.5\nNAMES = ('a', 'b')\ndef _table(): ...\n"
    )
    assert list(broken("demo", text)) == []
