"""The package installs with pip and with colcon, and its metadata agree."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions, version
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from catkin_pkg.package import parse_package
from checkout import CHECKOUT, setup_arguments
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import vdd_ros
from vdd_ros.cli.failures import EXTRAS

SCRIPTS = ("vdd", "policy_node", "sim_robot_node", "bag_recorder")
SHARED = ("config", "launch", "models")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command and return its standard output; a failure shows all that it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tracked files, as a clone would have them, so that a build leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("workspace") / "src" / "vdd_ros"
    for name in run("git", "ls-files", cwd=CHECKOUT).splitlines():
        if (CHECKOUT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy / name)
    return copy


def shared_files(source: Path) -> set[str]:
    files = (path for folder in SHARED for path in (source / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(source)) for path in files}


def check_installation(prefix: Path, scripts: Path, source: Path) -> None:
    """Check scripts, data files and index of an installation, and that its code finds its own files."""
    share = prefix / "share" / "vdd_ros"
    assert (prefix / "share/ament_index/resource_index/packages/vdd_ros").is_file()
    assert (share / "package.xml").is_file()
    assert {name for name in shared_files(source) if not (share / name).is_file()} == set()
    libraries = next(prefix.rglob("vdd_ros/__init__.py")).parents[1]
    assert (libraries / "vdd_ros" / "py.typed").is_file()
    assert {name for name in SCRIPTS if not os.access(scripts / name, os.X_OK)} == set()
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    printed = run(scripts / "vdd", "--version", cwd=prefix, PATH=path, PYTHONPATH=str(libraries))
    assert printed == f"vdd_ros {vdd_ros.__version__}\n"
    program = "from vdd_ros import resources; print(resources.path('package.xml'))"
    found = run(sys.executable, "-c", program, cwd=prefix, PYTHONPATH=str(libraries)).strip()
    assert Path(found) == share / "package.xml"


def test_pip_install(source: Path, tmp_path: Path) -> None:
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", "--no-warn-script-location"]
    run(sys.executable, "-m", "pip", "install", *options, "--prefix", tmp_path, ".", cwd=source)
    check_installation(tmp_path, tmp_path / "bin", source)


def test_colcon_build(source: Path) -> None:
    colcon = Path(sysconfig.get_path("scripts")) / "colcon"
    workspace = source.parents[1]
    run(colcon, "build", "--event-handlers", "console_direct+", cwd=workspace, COLCON_HOME=str(workspace / "home"))
    prefix = workspace / "install" / "vdd_ros"
    check_installation(prefix, prefix / "lib" / "vdd_ros", source)
    # A Python of the build would not see what the user's environment adds.
    assert (prefix / "lib/vdd_ros/policy_node").read_text().startswith("#!/usr/bin/env python3\n")
    hooks = {path.name for path in (prefix / "share" / "vdd_ros" / "hook").iterdir()}
    assert {"ament_prefix_path.sh", "pythonpath.sh"} <= hooks, "colcon did not take it for an ament package"
    program = "from ament_index_python import get_package_share_directory as share; print(share('vdd_ros'))"
    shell = f'. install/setup.sh && "{sys.executable}" -c "{program}"'
    assert run("sh", "-c", shell, cwd=workspace).splitlines()[-1] == str(prefix / "share" / "vdd_ros")


def test_package_xml_is_valid_and_agrees_with_setup_py() -> None:
    warnings: list[str] = []
    package = parse_package(CHECKOUT / "package.xml", warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert package.package_format == 3
    assert package.get_build_type() == "ament_python"
    for key, value in {"name": package.name, "version": package.version, "description": package.description}.items():
        assert setup_arguments()[key] == value, key
    assert setup_arguments()["license"] == package.licenses[0]
    assert setup_arguments()["maintainer_email"] == package.maintainers[0].email


def test_one_version_everywhere() -> None:
    assert vdd_ros.__version__ == setup_arguments()["version"] == version("vdd_ros")


def test_every_imported_ros_package_is_declared() -> None:
    """Only rclpy, messages, launch: what nodes/ and launch/ import must be in package.xml."""
    declared = {depend.name for depend in parse_package(CHECKOUT / "package.xml").exec_depends}
    code = "\n".join(path.read_text() for folder in ("vdd_ros", "launch") for path in (CHECKOUT / folder).rglob("*.py"))
    statement = r"^\s*(?:from|import)\s+(\w+_(?:msgs|srvs|interfaces)|rclpy|launch|launch_ros)\b"
    assert set(re.findall(statement, code, flags=re.MULTILINE)) <= declared


def test_the_message_for_a_missing_package_names_an_extra_that_brings_it() -> None:
    for package, extra in EXTRAS.items():
        brought = [Requirement(text).name for text in setup_arguments()["extras_require"][extra]]
        name = {"sklearn": "scikit-learn", "PIL": "pillow"}.get(package, package.replace("_", "-"))
        assert name in brought or f"ros-jazzy-{name}" in brought, f"{package} in {extra}"


def load_tool() -> Any:
    """Import .ci/pins.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("pins", CHECKOUT / ".ci" / "pins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pins"] = module
    spec.loader.exec_module(module)
    return module


TOOL = load_tool()
PINS = TOOL.read((CHECKOUT / "constraints.txt").read_text())


def test_every_pin_but_torch_has_a_hash() -> None:
    assert {pin.name for pin in PINS if not pin.sha256} == {"torch"}
    assert len({pin.name for pin in PINS}) == len(PINS) > 100


def test_pip_takes_the_pins_as_constraints() -> None:
    """pip reads what stands before the comment, and nothing there may be more than a version."""
    for line in (CHECKOUT / "constraints.txt").read_text().splitlines():
        if text := line.partition("#")[0].strip():
            assert str(Requirement(text).specifier).startswith("==")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="constraints.txt is not for Python 3.10, which needs others")
@pytest.mark.parametrize(
    "extra", ["base", "ros", "sim", "train", "physics", "kitchen", "cluster", "formats", "video", "dev"]
)
def test_what_an_extra_needs_is_pinned_for_it(extra: str) -> None:
    """Also what its needs need, as far as it is installed here: with --require-hashes nothing else is installed."""
    needs = setup_arguments()["install_requires"] if extra == "base" else setup_arguments()["extras_require"][extra]
    metadata = {
        canonicalize_name(found.metadata["Name"]): {"requires_dist": found.requires} for found in distributions()
    }
    roots = [need for need in map(Requirement, needs) if need.marker is None or need.marker.evaluate()]
    roots = [need for need in roots if canonicalize_name(need.name) in metadata]
    chosen = {canonicalize_name(pin.name) for pin in TOOL.needed(PINS, {extra})}
    assert TOOL.closure(metadata, iter(roots)) <= chosen


def test_what_only_builds_is_not_in_what_runs() -> None:
    running = TOOL.needed(PINS, {"ros", "sim"})
    builders = ("colcon", "catkin", "mypy", "ruff", "pytest", "hypothesis")
    assert not [pin.name for pin in running if pin.name.startswith(builders)]


def test_a_hash_that_differs_is_refused(tmp_path: Path) -> None:
    """pip checks the lines that the script makes of pins: an archive of another content is not installed."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text('[project]\nname = "pinned-example"\nversion = "1.0"\n')
    (source / "setup.py").write_text("from setuptools import setup\nsetup(py_modules=[])\n")
    wheels = tmp_path / "wheels"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", wheels, source, cwd=tmp_path)
    (wheel,) = wheels.iterdir()
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    for digest, code in ((right, 0), (right[::-1], 1)):
        (pin,) = TOOL.read(f"pinned-example==1.0  # base; sha256:{digest}\n")
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(f"{pin.requirement}\n")
        done = subprocess.run(
            [
                *(
                    sys.executable,
                    "-m",
                    "pip",
                    "install",
                    "--require-hashes",
                    "--no-index",
                    "--find-links",
                    str(wheels),
                ),
                *("--target", str(tmp_path / f"target_{code}"), "--requirement", str(requirements)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr


def test_a_line_that_is_no_pin_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2: 'numpy>=1' is no pin"):
        TOOL.read("# comment\nnumpy>=1\n")


def test_pages_give_versions_to_a_robot() -> None:
    """What docs/install.md tells to install there has the versions of the pins."""
    text = (CHECKOUT / "docs" / "install.md").read_text().partition("## On a robot")[2].partition("\n## ")[0]
    pins = {pin.name: pin.version for pin in PINS} | {"onnxruntime": ONNX_RUNTIME}
    shown = re.findall(r"^pip install (.*)$", text, flags=re.MULTILINE)
    words = [word for line in shown for word in line.split() if not word.startswith("-") and word not in (".", "src")]
    assert words
    for word in words:
        name, _, version_ = word.partition("==")
        assert pins[name] == version_, word


ONNX_RUNTIME = next(pin.version for pin in PINS if pin.name == "onnxruntime-gpu")


def test_every_need_is_pinned_to_a_version_that_it_allows() -> None:
    pins = {pin.name.lower(): pin.version for pin in PINS}
    needs = [*setup_arguments()["install_requires"], *chain(*setup_arguments()["extras_require"].values())]
    for need in map(Requirement, needs):
        if need.marker is None or need.marker.evaluate():
            assert pins[need.name.lower()] in need.specifier
