"""ruff and mypy, configured in pyproject.toml, find nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("tool", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join)
def test_the_tool_finds_nothing(tool: tuple[str, ...]) -> None:
    if tool[0] == "mypy" and sys.version_info < (3, 11):
        pytest.skip("types are checked with the pinned versions; numpy's stubs for Python 3.10 are older")
    pytest.importorskip(tool[0])
    done = subprocess.run([sys.executable, "-m", *tool], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
