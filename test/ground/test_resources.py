"""Where shipped files are found. Installed copies are tested in test_packaging.py."""

from pathlib import Path

import pytest

from vdd_ros import resources
from vdd_ros.errors import ConfigurationError

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("folder", ["models", "config", "launch"])
def test_in_a_checkout_the_files_beside_the_package_are_found(folder: str) -> None:
    assert resources.path(folder) == CHECKOUT / folder


def test_a_missing_file_lists_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigurationError, match=r"ships no models/no_such\.onnx") as caught:
        resources.path("models/no_such.onnx")
    assert str(CHECKOUT / "models" / "no_such.onnx") in str(caught.value)


def test_an_absolute_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="absolute path"):
        resources.path(tmp_path)
