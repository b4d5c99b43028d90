"""Arrays of a robot file: images and lists of numbers, read as numpy would; other forms are refused."""

import re
from array import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from array_policies import CAMERA, FORCES, HEIGHT, OBSERVATION, WIDTH, array_document, image, numbers
from robot_messages import empty_message, joint_state

from vdd_ros.errors import ObservationError, RobotFileError
from vdd_ros.features import Feature
from vdd_ros.robot.channels import ArrayChannel
from vdd_ros.robot.robot_file import RobotFile

ACTION = tuple(Feature(f"{joint}_target", "rad") for joint in ("shoulder", "elbow"))
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def channel(feature: Feature, kind: str, entry: dict[str, Any]) -> ArrayChannel:
    """Return the channel of an array in an input of its own."""
    source = {"topic": "t", "type": kind, "max_age_s": 1.0, "entries": {feature.name: entry}}
    document = array_document()
    command = document["command"] | {"entries": [{**document["command"]["entries"][0], "measured": "shoulder"}]}
    arm = {"arm": document["inputs"]["arm"]}
    return ArrayChannel(
        RobotFile.from_dict({"inputs": arm | {"seen": source}, "command": command}).inputs[1], [feature]
    )


def camera(encoding: str, shape: tuple[int, ...], dtype: str, unit: str = "1", wanted: str = "") -> ArrayChannel:
    feature = Feature("cam", wanted or unit, shape=shape, dtype=dtype)
    return channel(feature, "sensor_msgs/msg/Image", {"encoding": encoding, "shape": list(shape), "unit": unit})


def read(tested: ArrayChannel, message: Any) -> np.ndarray:
    out = np.zeros(tested.feature.shape, tested.feature.dtype)
    tested.read(message, out)
    return out


@pytest.mark.parametrize("padding", [0, 1, 8])
@pytest.mark.parametrize(("wanted", "other"), [("rgb8", "bgr8"), ("bgr8", "rgb8")])
def test_channels_come_in_the_order_that_the_policy_takes(wanted: str, other: str, padding: int) -> None:
    tested = camera(wanted, PIXELS.shape, "uint8")
    np.testing.assert_array_equal(read(tested, image(PIXELS, wanted, padding=padding)), PIXELS)
    np.testing.assert_array_equal(read(tested, image(PIXELS, other, padding=padding)), PIXELS[..., ::-1])


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize(
    ("encoding", "dtype", "unit"), [("mono8", "uint8", "1"), ("16UC1", "uint16", "mm"), ("32FC1", "float32", "m")]
)
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)])
def test_images_of_one_channel(
    encoding: str, dtype: str, unit: str, shape: tuple[int, ...], padding: int, big: bool
) -> None:
    pixels = np.random.default_rng(1).integers(0, 250, shape).astype(dtype) * np.asarray(
        1 if dtype == "uint8" else 201, dtype
    )
    found = read(camera(encoding, shape, dtype, unit), image(pixels, encoding, padding=padding, big=big))
    np.testing.assert_array_equal(found, pixels)


def test_depth_is_converted_to_the_unit_of_the_policy() -> None:
    pixels = np.linspace(0.5, 2.0, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    tested = camera("32FC1", pixels.shape, "float32", "m", wanted="mm")
    np.testing.assert_allclose(read(tested, image(pixels, "32FC1")), 1000 * pixels, rtol=1e-6)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (image(PIXELS[:3]), "an image is 3 high and 6 wide; the robot file says 4 and 6, and nothing is resized"),
        (image(PIXELS[:, :5]), "an image is 4 high and 5 wide"),
        (image(PIXELS, "yuv422"), "an image is encoded as 'yuv422'; it must be rgb8 or bgr8"),
        (image(PIXELS, ""), "an image is encoded as ''; it must be rgb8 or bgr8"),
        (image(PIXELS, "mono8"), "an image is encoded as 'mono8'"),
        (SimpleNamespace(**vars(image(PIXELS)) | {"data": array("B")}), r"has 0 bytes with a step of 18"),
        (SimpleNamespace(**vars(image(PIXELS)) | {"step": 0}), r"has 72 bytes with a step of 0"),
        (SimpleNamespace(**vars(image(PIXELS)) | {"step": 17}), r"at least 18 bytes"),
        (SimpleNamespace(**vars(image(PIXELS)) | {"step": 4_000_000_000}), r"has 72 bytes with a step of 4,000"),
    ],
)
def test_an_image_of_another_form_is_refused_and_changes_nothing(message: Any, problem: str) -> None:
    tested, out = camera("rgb8", PIXELS.shape, "uint8"), np.full(PIXELS.shape, 7, np.uint8)
    with pytest.raises(ObservationError, match=problem):
        tested.read(message, out)
    assert (out == 7).all()


def test_a_list_of_numbers_is_an_array_row_by_row_in_the_unit_of_the_policy() -> None:
    grid = Feature("grid", "m", shape=(2, 3))
    tested = channel(grid, "std_msgs/msg/Float64MultiArray", {"field": "data", "shape": [2, 3], "unit": "mm"})
    np.testing.assert_allclose(read(tested, numbers(np.arange(6.0))), np.arange(6).reshape(2, 3) / 1000, rtol=1e-6)
    with pytest.raises(ObservationError, match=r"data has 5 numbers; the robot file says 6 \(shape \[2, 3\]\)"):
        read(tested, numbers(np.arange(5.0)))
    assert np.isinf(read(tested, numbers(np.full(6, 1e300)))).all()


def test_scale_and_offset_apply_before_an_array_becomes_single_precision() -> None:
    """Single precision has steps of 2 beyond 16,777,216, and of 64 near a billion."""
    entry = {"field": "data", "shape": [3], "unit": "m", "scale": 1e-3, "offset": -1_000_000.0}
    tested = channel(Feature("places", "m", shape=(3,)), "std_msgs/msg/Int32MultiArray", entry)
    found = read(tested, SimpleNamespace(data=array("i", [1_000_000_001, 1_000_000_002, 999_999_999])))
    np.testing.assert_allclose(found, [0.001, 0.002, -0.001], rtol=1e-6)
    with pytest.raises(ObservationError, match="data has 1 numbers"):
        read(tested, SimpleNamespace(data=array("i", [1])))


@pytest.mark.parametrize("values", [["a", "b"], [SimpleNamespace(), SimpleNamespace()], [[1.0], [2.0]]])
def test_a_list_of_texts_or_messages_is_refused_at_the_latest_when_one_comes(values: list[Any]) -> None:
    """An empty one, as a message's class makes it, does not say what it will hold."""
    tested = channel(Feature("poses", shape=(2,)), "x_msgs/msg/Y", {"field": "poses", "shape": [2], "unit": "1"})
    tested.check(SimpleNamespace(poses=[]))
    with pytest.raises(ObservationError, match=r"poses holds values that are not numbers .*; correct `field`"):
        read(tested, SimpleNamespace(poses=values))


def test_joints_are_an_array_in_the_order_of_the_robot_file() -> None:
    tested = channel(
        Feature("joints", "rad", shape=(2,)),
        "sensor_msgs/msg/JointState",
        {"joints": ["b", "a"], "interface": "position", "unit": "deg"},
    )
    np.testing.assert_allclose(read(tested, joint_state(a=90.0, c=1.0, b=180.0)), [np.pi, np.pi / 2], rtol=1e-6)
    with pytest.raises(ObservationError, match=r"lacks the joints \['a'\]"):
        read(tested, joint_state(b=1.0))


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "shape": [4, 6, 3], "unit": 1}),
        ("std_msgs/msg/Float64MultiArray", {"field": "data", "shape": [5], "unit": "N"}),
        ("sensor_msgs/msg/LaserScan", {"field": "ranges", "shape": [360], "unit": "m"}),
        ("sensor_msgs/msg/JointState", {"joints": ["a"], "interface": "effort", "unit": "Nm"}),
    ],
)
def test_real_types_have_the_arrays_that_they_should(kind: str, entry: dict[str, Any]) -> None:
    shape = tuple(entry.get("shape", [1]))
    tested = channel(Feature("seen", str(entry["unit"]), shape=shape), kind, entry)
    tested.check(empty_message(kind))
    other = str(entry.get("field", "pose"))
    with pytest.raises(RobotFileError, match=r"inputs\.seen\.entries\.seen\.(encoding|field|joints)"):
        tested.check(SimpleNamespace(header=None, **{other: "text"}))


@pytest.mark.parametrize(
    ("kind", "entry", "problem"),
    [
        ("sensor_msgs/msg/Image", {"encoding": "rgb16", "shape": [4, 6, 3]}, "encoding: is 'rgb16'; allowed are rgb8,"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "shape": [4, 6]}, "shape: is [4, 6]; an array of rgb8 pixels"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "shape": [3, 4, 6]}, "the shape [HEIGHT, WIDTH, 3]"),
        ("sensor_msgs/msg/Image", {"encoding": "16UC1", "shape": [4]}, "[HEIGHT, WIDTH] or [HEIGHT, WIDTH, 1]"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8"}, "shape: is missing; write it as in `shape: [96, 96, 3]`"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "shape": [4, 0, 3]}, "shape: holds 0; a size is"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "shape": "4x6x3"}, "shape: must be a list of 1 to 8 sizes"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "shape": [4, 6, 3], "unit": "m"}, "unit: is 'm', a unit of"),
        ("sensor_msgs/msg/Image", {"encoding": "rgb8", "field": "data"}, "cannot be combined with"),
        ("sensor_msgs/msg/Imu", {"encoding": "rgb8", "shape": [4, 6, 3]}, "a sensor_msgs/msg/Imu is not an image"),
        ("sensor_msgs/msg/Imu", {"joints": ["a"], "interface": "position"}, "sensor_msgs/msg/Imu has no joints"),
        ("sensor_msgs/msg/JointState", {"joints": "a", "interface": "position"}, "joints: must be a list of texts"),
        ("sensor_msgs/msg/JointState", {"joints": ["a", "a"], "interface": "position"}, "more than once: a"),
        ("sensor_msgs/msg/JointState", {"joints": ["a"], "interface": "effort", "unit": "m"}, "unit: is 'm'"),
        ("x_msgs/msg/Y", {"field": "data", "shape": [4], "max_rate": 1.0}, "max_rate: is for single numbers"),
    ],
)  # fmt: skip
def test_an_array_that_no_message_has_is_refused(kind: str, entry: dict[str, Any], problem: str) -> None:
    with pytest.raises(RobotFileError, match=re.escape(problem)):
        channel(Feature("seen", shape=(4,)), kind, {"unit": "1"} | entry)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the robot file with one value replaced."""
    document = array_document()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def test_an_array_has_an_input_of_its_own_and_measures_nothing() -> None:
    entries = array_document()["inputs"]["sensor"]["entries"]
    with pytest.raises(RobotFileError, match=r"forces: is an array .* which needs a separate input; give two inputs"):
        RobotFile.from_dict(
            changed(("inputs", "sensor", "entries"), entries | {"one": {"field": "layout.data_offset", "unit": "1"}})
        )
    document = array_document()
    document["command"]["entries"][0]["measured"] = FORCES.name
    with pytest.raises(RobotFileError, match=r"measured: is 'forces', an array; give an entry that is a single number"):
        RobotFile.from_dict(document)


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (Feature("wrist_cam", shape=(8, 6, 3), dtype="uint8"), "as uint8, 4 x 6 x 3 instead of uint8, 8 x 6 x 3"),
        (Feature("wrist_cam", shape=(4, 6, 3)), "wrist_cam as uint8, 4 x 6 x 3 instead of 4 x 6 x 3"),
        (Feature("wrist_cam"), "wrist_cam as uint8, 4 x 6 x 3 instead of one number"),
        (Feature("wrist_cam", "%", shape=(4, 6, 3), dtype="uint8"), "unit: is '1'; whole numbers are not converted"),
    ],
)  # fmt: skip
def test_an_array_of_another_form_than_the_policy_takes_is_refused(wanted: Feature, problem: str) -> None:
    robot = RobotFile.from_dict(array_document())
    robot.check(OBSERVATION, ACTION)
    with pytest.raises(RobotFileError, match=problem):
        robot.check([wanted if feature == CAMERA else feature for feature in OBSERVATION], ACTION)
