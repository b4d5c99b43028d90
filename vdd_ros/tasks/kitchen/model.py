"""The model of the kitchen: that of gymnasium-robotics (extra `kitchen`), without what a step does not need.

The MJCF and its meshes stay in the installed package, which is not imported. Includes are put in place, as MuJoCo does.
Left out are textures, materials, lights, cameras and shapes that touch nothing. Joints, inertias, contacts, actuators
and options are those of the package (`test/tasks/test_kitchen.py` compares them).
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from vdd_ros.errors import TaskError
from vdd_ros.text import printable

PACKAGE = "gymnasium_robotics"
_INSTALL = "pip install 'vdd_ros[kitchen]'"
_ASSETS = Path("envs", "assets", "kitchen_franka")
_MODEL = _ASSETS / "kitchen_assets" / "kitchen_env_model.xml"
_SHAPES = ("panda_col", "panda_finger")
"""Classes of shapes of the robot that touch; those of the furniture end in `_collision`."""
_COUNTERS = "counter_collision"
_PICTURE = ("texture", "material", "light", "camera")
_LINKS = tuple(f"panda0_link{number}" for number in range(8))
_FINGERS = ("panda0_leftfinger", "panda0_rightfinger")
NEVER_TOUCHING = (
    *((_LINKS[first], _LINKS[second]) for first, second in [(0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)]),
    *((_LINKS[first], _LINKS[second]) for first, second in [(3, 5), (3, 6), (3, 7), (4, 6), (4, 7)]),
    *((_LINKS[6], finger) for finger in _FINGERS),
)
"""Bodies of the robot that are at least 10 mm apart in all positions of its joints, or 1 mm beside a common joint, and
near enough for MuJoCo to compare their shapes in every step."""


def model_file() -> Path:
    """Return the path of the model in the installed package.

    Raises:
        TaskError: The package is missing, or has no such model.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise TaskError(
            f"gymnasium-robotics is not installed, which has the model of the kitchen; the extra 'kitchen' brings it: "
            f"{_INSTALL}"
        )
    path = Path(found.submodule_search_locations[0], _MODEL)
    if not path.is_file():
        raise TaskError(
            f"the installed gymnasium-robotics has no {printable(str(_MODEL), 200)}; release 1.4.2 has it: {_INSTALL}"
        )
    return path


@cache
def scene() -> str:
    """Return the model in MuJoCo's XML, with absolute paths of its meshes.

    Raises:
        TaskError: As `model_file`, or the model is damaged.
    """
    path = model_file()
    try:
        root = ElementTree.parse(path).getroot()
        _include(root, path.parent)
    except (OSError, ElementTree.ParseError) as error:
        raise TaskError(f"the model of the kitchen is damaged: {printable(str(error), 300)}; {_INSTALL}") from error
    _strip(root, None)
    used = {geom.get("mesh") for geom in root.iter("geom")}
    for asset in root.iter("asset"):
        for mesh in [each for each in asset.findall("mesh") if each.get("name") not in used]:
            asset.remove(mesh)
    for compiler in root.iter("compiler"):
        compiler.attrib.pop("texturedir", None)
        if (folder := compiler.get("meshdir")) is not None:
            compiler.set("meshdir", str((path.parent / folder).resolve()))
    _split_counters(root)
    contacts = ElementTree.SubElement(root, "contact")
    for first, second in NEVER_TOUCHING:
        ElementTree.SubElement(contacts, "exclude", body1=first, body2=second)
    return ElementTree.tostring(root, encoding="unicode")


def _split_counters(root: ElementTree.Element) -> None:
    """Give the counters right of the oven a body of their own, in the same place.

    MuJoCo compares bounding boxes of bodies first. That of both counters contains the robot and the kettle.
    """
    for body in list(root.iter("body")):
        right = [shape for shape in body.findall("geom") if shape.get("class") == _COUNTERS and _x(shape) > 0]
        if right:
            own = ElementTree.SubElement(body, "body")
            for shape in right:
                body.remove(shape)
                own.append(shape)


def _x(shape: ElementTree.Element) -> float:
    return float(shape.get("pos", "0 0 0").split()[0])


def _include(element: ElementTree.Element, folder: Path) -> None:
    """Put the contents of included files, relative to the model's folder, in the place of their elements."""
    for index, child in reversed(list(enumerate(element))):
        if child.tag == "include":
            part = ElementTree.parse(folder / str(child.get("file"))).getroot()
            element[index : index + 1] = list(part)
    for child in element:
        _include(child, folder)


def _strip(element: ElementTree.Element, inherited: str | None) -> None:
    """Remove what only a picture needs; `inherited` is the class of shapes without their own."""
    inherited = element.get("childclass", inherited)
    for child in list(element):
        kind = child.get("class", inherited)
        seen_only = child.tag == "geom" and element.tag != "default" and not _touches(kind)
        if child.tag in _PICTURE or seen_only:
            element.remove(child)
            continue
        child.attrib.pop("material", None)
        _strip(child, inherited)


def _touches(kind: str | None) -> bool:
    """Return whether shapes of a class touch anything."""
    return kind is None or kind in _SHAPES or kind.endswith("_collision")
