"""Identifies files of other kinds that are given as robot files, with advice."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vdd_ros.errors import RobotFileError
from vdd_ros.file_kinds import ROBOT, misplaced
from vdd_ros.text import printable

EXAMPLE = "config/robots/avoiding.yaml is an example of a robot file"
_HEAD = 4096
_DEPTH = 3

_CONVERTED = ", of which `vdd demos convert` makes demonstrations"
_MAGIC = {
    b"\x89MCAP": "a bag (MCAP); `vdd robot new --bag` drafts a robot file from one",
    b"SQLite format 3": "a bag (SQLite); `vdd robot new --bag` drafts a robot file from one",
    b"\x89HDF": f"a data set (HDF5){_CONVERTED}",
    b"PK\x03\x04": "a ZIP archive, as demonstration sets (.npz), whose folder `vdd train --demos` takes",
    b"PAR1": f"a data set (Parquet){_CONVERTED}",
    b"\x1f\x8b": "compressed (gzip)",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"ID3": "audio (MP3)",
    b"\xff\xfb": "audio (MP3)",
    b"\x7fELF": "a program",
    b"%PDF": "a PDF",
}
_XML = {
    "<robot": "a URDF (XML), which describes links and joints; its joint names and limits correspond to `joint`, "
    "`name`, `low` and `high` of a robot file",
    "<mujoco": "a model for MuJoCo (XML)",
    "<sdf": "a model for Gazebo (SDF)",
    "<launch": "a launch file (XML)",
    "<package": "a package.xml",
    "<root": "a layout of PlotJuggler or a behaviour tree (XML)",
    "<dds": "a profile of Fast DDS (XML); FASTRTPS_DEFAULT_PROFILES_FILE takes it",
    "<profiles": "a profile of Fast DDS (XML); FASTRTPS_DEFAULT_PROFILES_FILE takes it",
    "<html": "a web page: download the file itself",
}
_NO_NODE = "the parameter `robot_file` of the node names a robot file"


def refuse_foreign_file(path: Path) -> None:
    """Refuse non-text files and languages other than YAML; raises RobotFileError naming path and kind.

    Files that cannot be opened are left to the reader.
    """
    if path.is_dir() and (why := misplaced(path, ROBOT, "a robot file")):
        raise RobotFileError(f"{printable(path)} {why}. {EXAMPLE}.")
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD) if path.is_file() else b""
    except (OSError, ValueError):
        return
    if kind := _binary(path, head) or _other_text(path, head.decode("utf-8", "replace")):
        raise RobotFileError(f"{printable(path)} is {kind}. {EXAMPLE}.")


def refuse_foreign_document(document: Any) -> None:
    """Refuse YAML or JSON of another tool; raises RobotFileError naming the tool and the remedy."""
    if isinstance(document, str):
        raise RobotFileError(f"the document: is plain text ({printable(repr(document), 60)}), not a mapping; {EXAMPLE}")
    if not isinstance(document, Mapping) or "inputs" in document or "command" in document:
        return
    for tells, kind in _KINDS:
        if found := tells(document):
            raise RobotFileError(f"the document: is {kind(found) if callable(kind) else kind}; {EXAMPLE}")


def _binary(path: Path, head: bytes) -> str:
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return f"{kind}, not a robot file"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16; save it as UTF-8"
    if head[8:9] == b"{" and path.suffix == ".safetensors":
        return "a file of weights (safetensors), not a robot file"
    if b"\0" not in head:
        return ""
    if path.suffix == ".onnx" or b"onnx" in head or b"pytorch" in head:
        return "an ONNX file, not a robot file: `policy_path` takes a policy file, `vdd wrap` another tool's graph"
    return "a binary file, not a robot file, which is YAML"


def _other_text(path: Path, head: str) -> str:
    text = head.lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        lowered = text.lower()
        places = {lowered.find(start): kind for start, kind in _XML.items() if start in lowered}
        return places[min(places)] if places else "XML, not a robot file, which is YAML"
    if path.suffix == ".py" or text.startswith(("import ", "from ", "#!")):
        return "a program, not a robot file, which is YAML"
    return ""


def _parameters(value: Any, depth: int = _DEPTH) -> Iterator[Mapping[str, Any]]:
    """Yield the mappings below `ros__parameters`, including those of nodes in namespaces."""
    if not isinstance(value, Mapping) or not depth:
        return
    for key, below in value.items():
        if key == "ros__parameters":
            yield below if isinstance(below, Mapping) else {}
        else:
            yield from _parameters(below, depth - 1)


def _controllers(document: Mapping[str, Any]) -> str:
    """Return the joints in a ros2_control file; empty for other files."""
    found = list(_parameters(document, _DEPTH + 1))
    joints = [name for given in found if isinstance(given.get("joints"), list) for name in given["joints"]]
    known = "controller_manager" in document or any("command_interfaces" in given for given in found)
    return (printable(", ".join(map(str, joints)), 200) or "none named here") if known else ""


def _has(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether a document has all of the given keys."""
    return lambda document: all(key in document for key in keys)


def _below(*keys: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether a nested mapping has any of the given keys."""
    return lambda document: any(
        key in below for below in document.values() if isinstance(below, Mapping) for key in keys
    )


_Tells = Callable[[Mapping[str, Any]], object]
_KINDS: tuple[tuple[_Tells, str | Callable[[Any], str]], ...] = (
    (
        _controllers,
        lambda joints: (
            f"a file for ros2_control's controllers, which the controller manager takes; its joints ({joints}) are the "
            "names of a robot file's entries, and the topic is the controller's"
        ),
    ),
    (
        lambda document: any(True for _ in _parameters(document, _DEPTH + 1)),
        f"a ROS parameter file, which nodes take with --params-file; {_NO_NODE}",
    ),
    (
        _has("joint_limits"),
        "MoveIt's joint limits; `low`, `high` and `max_step` of a robot file's entries have the same meaning",
    ),
    (_below("kinematics_solver"), "MoveIt's kinematics"),
    (_has("moveit_controller_manager"), "MoveIt's list of controllers"),
    (_has("controller_names"), "MoveIt's list of controllers"),
    (_has("initial_positions"), "initial positions for ros2_control"),
    (_has("rosbag2_bagfile_information"), "the metadata.yaml of a bag; `vdd robot new --bag` takes the bag's folder"),
    (_has("Visualization Manager"), "a configuration of RViz"),
    (_has("camera_matrix"), "the calibration of a camera"),
    (
        _has("codebase_version"),
        "the info.json of a LeRobot data set, whose `features` list the robot's measurements; `vdd train --demos` "
        "takes "
        "the data set's folder",
    ),
    (_has("input_features"), "a policy's configuration of LeRobot"),
    (_has("dataset", "policy"), "a training configuration, as LeRobot writes them"),
    (_has("_target_"), "a configuration for Hydra"),
    (_has("defaults"), "a configuration for Hydra"),
    (_has("hydra"), "a configuration for Hydra"),
    (_has("configById"), "a layout of Foxglove"),
    (
        _has("data"),
        "a description of a data set; `vdd train --demos` and `vdd demos convert` take it",
    ),
    (
        _has("rate_hz", "observation", "action"),
        "a description of a graph for `vdd wrap --spec`",
    ),
    (
        _has("schema_version", "observation"),
        "the metadata of a policy file; the parameter `policy_path` takes the file",
    ),
)
