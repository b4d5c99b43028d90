"""Builds a package of ROS interfaces that the wheels lack, with their generators and the machine's compiler.

All of a package goes into one library. The middleware asks for the one of each type support by name; the process has
loaded both by then, under these names.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PREFIX = Path(sys.prefix)
SUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")
_RUNTIME = ("rosidl_runtime_c", "rosidl_typesupport_c", *SUPPORTS, "rosidl_typesupport_fastrtps_cpp", "fastcdr", "rmw")
_PARTS = ("rosidl_generator_c", "rosidl_typesupport_c", "rosidl_generator_py", *SUPPORTS)
_OF_ACTIONS = ("action_msgs", "builtin_interfaces", "service_msgs", "unique_identifier_msgs")

CONTROL_MSGS = {
    "msg/GripperCommand.msg": "float64 position\nfloat64 max_effort\n",
    "action/GripperCommand.action": "GripperCommand command\n"
    + 2 * "---\nfloat64 position\nfloat64 effort\nbool stalled\nbool reached_goal\n",
}
TF2_MSGS = {"msg/TFMessage.msg": "geometry_msgs/TransformStamped[] transforms\n"}


@contextmanager
def control_msgs(folder: Path) -> Iterator[None]:
    """Provide the package control_msgs, with the action GripperCommand."""
    with _package(folder, "control_msgs", CONTROL_MSGS, _OF_ACTIONS):
        yield


@contextmanager
def tf2_msgs(folder: Path) -> Iterator[None]:
    """Provide the package tf2_msgs, with the message TFMessage."""
    with _package(folder, "tf2_msgs", TF2_MSGS, ("geometry_msgs", "std_msgs", "builtin_interfaces")):
        yield


@contextmanager
def _package(folder: Path, name: str, interfaces: Mapping[str, str], depends: Sequence[str]) -> Iterator[None]:
    """Provide an importable package, installed or built; skip the test if neither is possible."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            __import__(name)
        except ImportError:
            _skip_without_tools()
            build(folder / name, name, interfaces, depends)
            patch.syspath_prepend(folder)
        yield
        for module in [module for module in sys.modules if module.partition(".")[0] == name]:
            del sys.modules[module]


def _skip_without_tools() -> None:
    for generator in ("rosidl_cli", "rosidl_adapter", "rosidl_generator_c", "rosidl_generator_py", *SUPPORTS):
        pytest.importorskip(generator)
    headers = [PREFIX / "include" / "rosidl_runtime_c", Path(sysconfig.get_paths()["include"], "Python.h")]
    if not all(header.exists() for header in headers) or not (shutil.which("gcc") and shutil.which("g++")):
        pytest.skip("no compiler, or no headers of Python and of the ROS wheels")


def build(package: Path, name: str, interfaces: Mapping[str, str], depends: Sequence[str]) -> None:
    """Build a package.

    Args:
        package: Its folder; that one's parent goes on the path of imports.
        name: Its name.
        interfaces: The text of each interface, by its path in the package, such as `msg/Name.msg`.
        depends: The packages that its interfaces name.
    """
    package.mkdir(parents=True)
    sources = package.parent / f"{name}_sources"
    for path, text in interfaces.items():
        (package / path).parent.mkdir(exist_ok=True)
        (package / path).write_text(text)
    _generate(package, sources, list(interfaces), [str(PREFIX / "share" / depended) for depended in depends])
    _compile(package, sources, depends)


def _generate(package: Path, sources: Path, interfaces: Sequence[str], includes: Sequence[str]) -> None:
    os.environ.setdefault("AMENT_PREFIX_PATH", str(PREFIX))
    from rosidl_cli.command.hash.api import generate_type_hashes
    from rosidl_cli.command.translate.api import translate
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    name, paths = package.name, [str(package), *includes]
    files = [f"{package}:{interface}" for interface in interfaces]
    common: dict[str, Any] = {"package_name": name, "include_paths": paths}
    idl = translate(interface_files=files, output_format="idl", output_path=package, **common)
    texts = [str(text) for text in idl]
    for text in texts:  # one by one: descriptions are found by the name of the interface alone
        told = generate_type_hashes(interface_files=[text], output_path=package, **common)
        GenerateC("").generate(
            interface_files=[text], output_path=sources / "c" / name, type_description_files=told, **common
        )
    for generator in (
        GenerateFastRTPSCTypesupport(""),
        GenerateIntrospectionCTypesupport(""),
        GenerateCTypesupport("", typesupport_implementations=list(SUPPORTS)),
    ):
        place = sources / type(generator).__name__ / name
        generator.generate(interface_files=texts, output_path=place, **common)
    python = GeneratePython("", typesupport_implementations=["rosidl_typesupport_c"])
    python.generate(interface_files=texts, output_path=package, **common)


def _compile(package: Path, sources: Path, depends: Sequence[str]) -> None:
    name, suffix = package.name, sysconfig.get_config_var("EXT_SUFFIX")
    library = package / f"{name}_s__rosidl_typesupport_c{suffix}"
    searched = [*sources.iterdir(), PREFIX / "include", *(PREFIX / "include").iterdir()]
    searched += [Path(sysconfig.get_paths()["include"]), Path(np.get_include())]
    files = [*package.rglob("*.c"), *sources.rglob("*.c"), *sources.rglob("*.cpp")]
    objects = []
    for number, file in enumerate(files):
        objects.append(sources / f"{number}.o")
        compiler = "g++" if file.suffix == ".cpp" else "gcc"
        flags = [f"-I{folder}" for folder in searched]
        _run(compiler, "-O0", "-fPIC", "-w", *flags, "-c", file, "-o", objects[-1])
    needed = [*(f"{depended}__{part}" for depended in depends for part in _PARTS), *_RUNTIME]
    linked = [f"-L{PREFIX / 'lib'}", *(f"-l{each}" for each in needed)]
    _run("g++", "-shared", _named(name, SUPPORTS[0]), "-o", library, *objects, *linked)
    other = package / "other_name.so"
    _run("gcc", "-shared", "-Wl,--no-as-needed", _named(name, SUPPORTS[1]), "-o", other, library)
    loaded = [f"ctypes.CDLL({str(each)!r})" for each in (library, other)]
    (package / "__init__.py").write_text("\n".join(("import ctypes", *loaded, "")))


def _named(package: str, support: str) -> str:
    return f"-Wl,-soname,lib{package}__{support}.so"


def _run(*command: Any) -> None:
    subprocess.run([str(word) for word in command], check=True)
