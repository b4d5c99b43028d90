"""Imports only go down: docs/design.md's table of layers, held against the code.

Each layer is imported with the packages that it must not need blocked, and every import statement in it, also those
inside functions, must name something that the table allows.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from vdd_ros.cli.failures import EXTRAS
from vdd_ros.cli.main import COMMANDS

PACKAGE = Path(__file__).resolve().parents[2] / "vdd_ros"
OPTIONAL = (
    *("torch", "rclpy", "gymnasium", "matplotlib", "rosbags", "tensorboard", "safetensors", "onnx", "tqdm"),
    *("av", "h5py", "mujoco", "numcodecs", "pyarrow"),
)
# Without dependencies of their own, so every layer may use them.
SHARED_MODULES = (
    "__version__",
    "documents",
    "earlier",
    "errors",
    "features",
    "file_kinds",
    "files",
    "locks",
    "console",
    "middleware",
    "places",
    "progress",
    "registry",
    "resources",
    "text",
    "workers",
)
SHARED = {"vdd_ros", *(f"vdd_ros.{name}" for name in SHARED_MODULES)}
MESSAGES = re.compile(r"\w+_(msgs|srvs|interfaces)")


@dataclass(frozen=True)
class Layer:
    """What the modules of a layer may import beside the standard library, SHARED and the layer itself."""

    layers: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    exceptions: tuple[tuple[str, str], ...] = ()  # (module in the layer, the one optional package that it is there for)


LAYERS = {
    "host": Layer(packages=("numpy", "onnxruntime")),
    "robot": Layer(packages=("numpy", "yaml")),
    "policy": Layer(packages=("numpy", "onnxruntime")),
    "control": Layer(layers=("policy", "robot"), packages=("numpy", "onnxruntime")),
    "bags": Layer(
        layers=("robot",),
        packages=("numpy", "yaml"),
        exceptions=(
            *((module, "rosbags") for module in ("reader", "repair", "schemas", "types", "writer")),
            *(("decompression", package) for package in ("lz4", "backports", "compression")),
        ),
    ),
    "data": Layer(
        packages=("numpy",),
        exceptions=(
            *((f"formats.{module}", "pyarrow") for module in ("parquet", "lerobot_writer", "minari_arrow")),
            *((f"formats.{module}", "h5py") for module in ("hdf5", "minari", "robomimic")),
            ("formats.images", "PIL"),
            ("formats.zarr_codecs", "numcodecs"),
        ),
    ),
    "tasks": Layer(
        layers=("data",),
        packages=("numpy",),
        exceptions=(
            ("gym", "gymnasium"),
            ("gym_names", "gymnasium"),
            ("contact_sheet", "matplotlib"),
            ("encoding", "av"),
            ("render", "matplotlib"),
            ("scene", "matplotlib"),  # for its type alone
            ("avoiding.scene", "matplotlib"),
            ("aligning.scene", "matplotlib"),
            ("block_push.scene", "matplotlib"),
            ("example_arm.scene", "matplotlib"),
            ("kitchen.scene", "matplotlib"),
            ("kitchen.kinematics", "mujoco"),
            ("pushing.scene", "matplotlib"),
            ("stacking.scene", "matplotlib"),
            ("stacking.kinematics", "mujoco"),
            ("physics", "mujoco"),
            ("video", "matplotlib"),
        ),
    ),
    "recordings": Layer(
        layers=("robot", "policy", "control", "bags", "data", "tasks"),
        packages=("numpy",),
        exceptions=(("example_arm", "rosbags"),),  # through the writer of bags
    ),
    "evaluation": Layer(
        layers=("host", "robot", "policy", "control", "bags", "data", "recordings", "tasks"),
        packages=("matplotlib", "numpy", "onnx", "onnxruntime", "scipy", "sklearn"),
    ),
    "wrapping": Layer(layers=("policy",), packages=("numpy", "onnx", "onnxruntime")),
    "learning": Layer(
        layers=("host", "robot", "policy", "data", "tasks", "evaluation"),
        packages=(
            "matplotlib",
            "numpy",
            "onnx",
            "onnxruntime",
            "safetensors",
            "scipy",
            "sklearn",
            "tensorboard",
            "torch",
        ),
    ),
    "testing": Layer(
        layers=("robot", "policy", "data", "tasks", "evaluation", "learning"),
        packages=("numpy", "yaml"),
        exceptions=(("importers", "torch"), ("methods", "torch")),
    ),
    "nodes": Layer(
        layers=("host", "robot", "policy", "control", "bags", "data", "tasks"),
        packages=("numpy", "rclpy", "rosbags", "yaml"),
    ),
    "running": Layer(
        layers=("host", "robot", "policy", "control", "bags", "data", "tasks", "nodes"),
        packages=("numpy", "rosbags", "yaml"),
    ),
    "demo": Layer(
        layers=("host", "robot", "policy", "control", "bags", "data", "tasks", "evaluation", "running"),
        packages=("matplotlib", "numpy", "onnxruntime", "rosbags"),
    ),
    "benchmark": Layer(
        layers=(
            "host",
            "robot",
            "policy",
            "control",
            "bags",
            "data",
            "recordings",
            "tasks",
            "evaluation",
            "learning",
            "nodes",
            "running",
            "demo",
        ),
        packages=(
            "matplotlib",
            "numpy",
            "onnx",
            "onnxruntime",
            "rclpy",
            "rosbags",
            "safetensors",
            "scipy",
            "sklearn",
            "tensorboard",
            "torch",
            "yaml",
        ),
    ),
}


def modules(layer: str) -> list[str]:
    """List the modules of a layer by dotted name, without vdd_ros."""
    files = sorted((PACKAGE / layer).rglob("*.py"))
    names = [".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def imports(file: Path) -> Iterator[str]:
    """Yield every module that a file imports, by its full name."""
    package = ["vdd_ros", *file.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from vdd_ros import errors` names a module, `from vdd_ros.errors import X` does not.
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "vdd_ros" else (module,)


def allowed(name: str, layer: str, module: str) -> bool:
    """Whether `module` of `layer` may import what is called `name`."""
    rules, root = LAYERS[layer], name.partition(".")[0]
    if root == "vdd_ros":
        return name in SHARED or name.split(".")[1] in (layer, *rules.layers)
    if root in sys.stdlib_module_names or root in rules.packages or (module, root) in rules.exceptions:
        return True
    return "rclpy" in rules.packages and MESSAGES.fullmatch(root) is not None


def import_without(blocked: tuple[str, ...], names: list[str]) -> None:
    """Import modules in a fresh interpreter where the blocked packages raise ImportError."""
    program = (
        "import importlib, sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked!r}:\n"
        "            raise ModuleNotFoundError(f'import of {name} is blocked', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        f"for name in {names!r}: importlib.import_module('vdd_ros.' + name)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_can_be_imported_without_what_it_must_not_need(layer: str) -> None:
    rules = LAYERS[layer]
    special = {f"{layer}.{module}" for module, _ in rules.exceptions}
    blocked = tuple(package for package in OPTIONAL if package not in rules.packages)
    import_without(blocked, [name for name in modules(layer) if name not in special])


@pytest.mark.parametrize(
    ("layer", "module", "package"),
    [(name, module, package) for name, layer in LAYERS.items() for module, package in layer.exceptions],
)
def test_an_exception_needs_only_its_one_package(layer: str, module: str, package: str) -> None:
    if f"{layer}.{module}" not in modules(layer):
        pytest.skip(f"there is no module {layer}.{module}")
    import_without(tuple(name for name in OPTIONAL if name != package), [f"{layer}.{module}"])


def test_what_checks_a_robot_needs_only_what_is_installed_on_one() -> None:
    rooms = ("evaluation.robot_check.", "evaluation.robot_draft.", "evaluation.preflight.", "evaluation.alignment")
    needed = [name for name in modules("evaluation") if name.startswith(rooms)]
    assert "evaluation.preflight.joint_order" in needed
    import_without((*OPTIONAL, "scipy", "sklearn", "PIL"), [*needed, "cli.robot.check", "cli.robot.new"])


def test_the_commands_can_be_listed_without_any_optional_package() -> None:
    import_without((*OPTIONAL, "onnxruntime", "numpy", "yaml"), ["cli.main", "errors", "files", "resources"])


@pytest.fixture(scope="module")
def helps() -> dict[str, list[str]]:
    """Ask each command for its help, in one process without any extra; return what it raised or said.

    A module that is imported for one command would have failed there if it needed an extra.
    """
    extras = (*EXTRAS, "rosidl_runtime_py", "rcl_interfaces", "ament_index_python")
    program = f"""
import io, json, sys, traceback
from contextlib import redirect_stderr, redirect_stdout
sys.modules.update(dict.fromkeys({extras!r}))
from vdd_ros.cli.main import main
found = {{}}
for command in {tuple(COMMANDS)!r}:
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
        try:
            code = main([command, "--help"])
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = traceback.format_exc()
    found[command] = [str(code), said.getvalue()]
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_its_help_without_any_extra(helps: dict[str, list[str]], command: str) -> None:
    code, said = helps[command]
    assert code in ("0", "None"), code + said
    assert f"usage: vdd {command}" in said


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_only_go_down(layer: str) -> None:
    wrong = {
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in (PACKAGE / layer).rglob("*.py")
        for name in imports(file)
        if not allowed(name, layer, ".".join(file.relative_to(PACKAGE / layer).with_suffix("").parts))
    }
    assert wrong == set()


def test_every_folder_is_a_known_layer() -> None:
    folders = {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert folders == {*LAYERS, "cli"}, "a new layer belongs into the table of docs/design.md and into LAYERS"


@pytest.mark.parametrize(
    ("layer", "module", "statement"),
    [
        ("policy", "spec", "import torch"),
        ("policy", "spec", "import rclpy.node"),
        ("policy", "spec", "from vdd_ros.robot import names"),
        ("policy", "spec", "from vdd_ros.nodes import policy_node"),
        ("policy", "spec", "from vdd_ros import nodes"),
        ("policy", "spec", "from ..nodes import policy_node"),
        ("policy", "spec", "def late():\n    from vdd_ros.tasks import get_task"),
        ("data", "readers", "from vdd_ros.tasks import get_task"),
        ("tasks", "avoiding", "import gymnasium"),
        ("tasks", "avoiding", "import std_msgs.msg"),
        ("nodes", "policy_node", "from vdd_ros.learning import configs"),
        ("evaluation", "plots", "import torch"),
    ],
)
def test_an_upward_import_is_noticed(
    layer: str, module: str, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    file = tmp_path / layer / f"{module}.py"
    file.parent.mkdir()
    file.write_text(statement)
    assert [name for name in imports(file) if not allowed(name, layer, module)] != []


def test_a_needed_package_that_is_blocked_is_noticed() -> None:
    with pytest.raises(AssertionError, match="numpy"):
        import_without(("numpy",), ["tasks.base"])
