"""The checkout under test, and the content of its setup.py."""

import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import setuptools

CHECKOUT = Path(__file__).resolve().parents[2]


@cache
def setup_arguments() -> dict[str, Any]:
    """Return the arguments that setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
        patch.chdir(CHECKOUT)
        runpy.run_path("setup.py")
    return given
