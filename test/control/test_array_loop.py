"""Policies that observe arrays, on a hand-fed loop: their observations, refusals, stale and missing arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_policies import (
    CAMERA,
    FORCES,
    JOINTS,
    LinearPolicy,
    array_document,
    image,
    numbers,
    write_linear,
)
from loop_rig import PERIOD_S, Rig
from numpy.testing import assert_allclose
from policy_files import write_mixture
from robot_messages import joint_state

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.history import ObservationHistory
from vdd_ros.errors import ConfigurationError
from vdd_ros.features import Feature
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

RNG = np.random.default_rng(5)


def pixels() -> np.ndarray:
    return RNG.integers(0, 256, CAMERA.shape).astype(np.uint8)


class Cell:
    """The loop of a policy that observes joints, a camera and forces, and all that its sensors gave."""

    def __init__(self, folder: Path, *, history: int = 1, **settings: Any) -> None:
        self.written: LinearPolicy = write_linear(folder / "p.onnx", history=history, rate_hz=1 / PERIOD_S)
        self.rig = Rig(OnnxPolicy.load(self.written.path), RobotFile.from_dict(array_document()), **settings)
        self.loop, self.counters = self.rig.loop, self.rig.loop.counters
        self.joints, self.image, self.forces = np.zeros(2), pixels(), np.zeros(5)

    def measure(self) -> None:
        """Let every sensor see something else."""
        self.joints, self.forces = RNG.normal(size=2).round(3), RNG.normal(0, 9, 5).round(3)
        self.image = pixels()

    def give(self, *names: str, later_s: float = 0.0, encoding: str = "rgb8") -> None:
        """Give the loop messages of these inputs, or of all."""
        now_s = self.rig.time_s + later_s
        messages = {
            "arm": joint_state(now_s, **dict(zip(JOINTS, self.joints.tolist(), strict=True))),
            "camera": image(self.image, encoding, now_s),
            "sensor": numbers(self.forces),
        }
        for name in names or messages:
            self.rig.receive(name, messages[name], now_s)

    def tick(self) -> None:
        self.rig.time_s += PERIOD_S
        self.loop.tick(self.rig.time_s, 0.0)

    @property
    def seen(self) -> dict[str, np.ndarray]:
        """What the sensors saw last, by input of the graph."""
        return {
            "observation": self.joints.astype(np.float32),
            CAMERA.name: self.image,
            FORCES.name: self.forces.astype(np.float32),
        }

    @property
    def command(self) -> list[float]:
        return self.rig.out.commands[-1]


def stacked(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return windows of rows, oldest first."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_the_command_is_that_of_what_every_sensor_saw(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    for _ in range(5):
        cell.measure()
        cell.give()
        cell.tick()
        assert_allclose(cell.command, cell.written.action(**stacked([cell.seen])), rtol=1e-4, atol=1e-5)
    assert cell.counters.refused_messages == 0


def test_images_whose_channels_come_in_the_other_order_are_turned_around(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.give(encoding="bgr8")
    cell.tick()
    seen = stacked([cell.seen | {CAMERA.name: cell.image[..., ::-1]}])
    assert_allclose(cell.command, cell.written.action(**seen), rtol=1e-4, atol=1e-5)


def test_each_row_of_each_window_is_the_newest_of_its_time(tmp_path: Path) -> None:
    """The camera comes every second tick alone: each of its images stands in two rows."""
    cell, rows = Cell(tmp_path, history=4), []
    for number in range(12):
        image_before = cell.image
        cell.measure()
        if number % 2:
            cell.image = image_before
            cell.give("arm", "sensor", later_s=PERIOD_S)
        else:
            cell.give(later_s=PERIOD_S)
        rows.append(cell.seen)
        cell.tick()
        window = stacked([rows[0]] * max(0, 4 - len(rows)) + rows[-4:])
        assert_allclose(cell.command, cell.written.action(**window), rtol=1e-4, atol=1e-5)


def test_nothing_is_commanded_before_every_array_was_seen(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.give("arm", "camera")
    cell.tick()
    assert cell.loop.observer.missing() == ("sensor",)
    assert not cell.rig.out.commands
    cell.give()
    cell.tick()
    assert len(cell.rig.out.commands) == 1


def test_a_camera_that_stops_is_stale_and_the_fail_safe_acts(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.give()
    cell.tick()
    for _ in range(4):
        cell.give("arm", "sensor")
        cell.tick()
    assert cell.loop.observer.stale(cell.rig.time_s) == ["camera"]
    assert cell.counters.stale == 3
    assert cell.loop.observer.times_stale == {"arm": 0, "camera": 1, "sensor": 0}
    assert len(cell.rig.out.commands) == 2
    cell.give()
    cell.tick()
    assert_allclose(cell.command, cell.written.action(**stacked([cell.seen])), rtol=1e-4, atol=1e-5)


def test_after_a_gap_no_image_from_before_it_is_in_the_window(tmp_path: Path) -> None:
    cell = Cell(tmp_path, history=4)
    cell.give()
    cell.tick()
    cell.rig.time_s += 1.0
    cell.measure()
    cell.give(later_s=PERIOD_S)
    cell.tick()
    assert_allclose(cell.command, cell.written.action(**stacked([cell.seen] * 4)), rtol=1e-4, atol=1e-5)


def test_a_new_episode_forgets_images(tmp_path: Path) -> None:
    cell = Cell(tmp_path, history=3)
    cell.give()
    cell.tick()
    cell.loop.new_episode()
    before = cell.seen
    cell.give("arm", "sensor")
    cell.tick()
    assert len(cell.rig.out.commands) == 1
    assert cell.loop.observer.missing() == ("camera",)
    cell.measure()
    cell.give(later_s=PERIOD_S)
    cell.tick()
    window = stacked([before | {CAMERA.name: cell.image}] * 2 + [cell.seen])
    assert_allclose(cell.command, cell.written.action(**window), rtol=1e-4, atol=1e-5)


def test_images_and_arrays_that_are_refused_leave_the_ones_before_in_force(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    cell.give()
    cell.tick()
    wanted = cell.written.action(**stacked([cell.seen]))
    now_s = cell.rig.time_s
    refused = [
        ("camera", image(pixels()[:3], stamp_s=now_s), "camera: an image is 3 high and 6 wide"),
        ("camera", image(pixels(), "yuv422", now_s), "camera: an image is encoded as 'yuv422'"),
        ("camera", image(pixels(), stamp_s=now_s - 0.5), "camera: arrived with a stamp 0.500 s old"),
        ("camera", image(pixels(), stamp_s=now_s - PERIOD_S), "camera: stamp not newer than the last one"),
        ("sensor", numbers(np.array([0, 1, np.nan, 3, 4])), "sensor: forces holds a value that is not finite"),
        ("sensor", numbers(np.full(5, 1e300)), "sensor: forces holds a value that is not finite"),
        ("sensor", numbers(np.zeros(4)), "sensor: data has 4 numbers; the robot file says 5"),
    ]
    for count, (name, message, why) in enumerate(refused, 1):
        cell.rig.receive(name, message, now_s)
        assert cell.counters.refused_messages == count
        assert cell.loop.observer.last_refusal.startswith(why)
    cell.tick()
    assert_allclose(cell.command, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prefetch", [False, True])
def test_chunks_answer_to_the_arrays_of_their_question(tmp_path: Path, prefetch: bool) -> None:
    """Prefetched, an answer is about the arrays of the tick that asked, whatever was seen meanwhile."""
    written = write_linear(tmp_path / "p.onnx", rate_hz=1 / PERIOD_S, horizon=3)
    policy = OnnxPolicy.load(written.path)
    rig = Rig(policy, RobotFile.from_dict(array_document()), action_steps=1, prefetch_ticks=int(prefetch))
    chunks, rows = rig.loop.active.chunks, []
    for _ in range(5):
        rig.time_s += PERIOD_S
        seen = {"observation": RNG.normal(size=(1, 2)).astype(np.float32), CAMERA.name: pixels()[None]}
        seen[FORCES.name] = RNG.normal(size=(1, 5)).astype(np.float32)
        joints = dict(zip(JOINTS, seen["observation"][0].tolist(), strict=True))
        rig.receive("arm", joint_state(rig.time_s, **joints), rig.time_s)
        rig.receive("camera", image(seen[CAMERA.name][0], stamp_s=rig.time_s), rig.time_s)
        rig.receive("sensor", numbers(seen[FORCES.name][0].astype(float)), rig.time_s)
        rows.append(seen)
        rig.loop.tick(rig.time_s, 0.0)
        if chunks._requested is not None:
            chunks._requested.result(60.0)
    asked = rows[:-1] if prefetch else rows
    wanted = [written.chunk(**seen)[int(prefetch)] for seen in asked]
    assert_allclose(rig.out.commands, wanted, rtol=1e-4, atol=1e-5)


def test_a_policy_of_arrays_takes_over_once_it_has_seen_its_window(tmp_path: Path) -> None:
    cell = Cell(tmp_path)
    other = write_linear(tmp_path / "q.onnx", history=3, rate_hz=1 / PERIOD_S)
    cell.give()
    cell.tick()
    robot = RobotFile.from_dict(array_document())
    handed: list[bool] = []
    successor = ActivePolicy.of(OnnxPolicy.load(other.path), robot, period_s=PERIOD_S)
    cell.loop.swap.hand_over(successor, lambda: handed.append(True))
    rows = []
    for number in range(4):
        cell.measure()
        cell.give(later_s=PERIOD_S)
        rows.append(cell.seen)
        cell.tick()
        assert bool(handed) == (number >= 2)
    assert_allclose(cell.command, other.action(**stacked(rows[-3:])), rtol=1e-4, atol=1e-5)


def test_decisions_have_the_single_numbers_alone(tmp_path: Path) -> None:
    cell = Cell(tmp_path, history=2)
    cell.measure()
    cell.give()
    cell.tick()
    decision = cell.rig.out.decisions[-1]
    names = [f"observation[{age}].{joint}" for age in (-1, 0) for joint in JOINTS]
    assert [label for label in decision if label.startswith("observation")] == names
    assert_allclose([decision[name] for name in names[2:]], cell.joints, rtol=1e-6)


def test_a_camera_may_be_all_that_is_observed(tmp_path: Path) -> None:
    written = write_linear(tmp_path / "p.onnx", (CAMERA,), rate_hz=1 / PERIOD_S)
    document = array_document()
    document["inputs"] = {"camera": document["inputs"]["camera"]}
    for entry in document["command"]["entries"]:
        del entry["measured"], entry["max_error"]
    document["command"] |= {"on_loss": "hold"}
    rig = Rig(OnnxPolicy.load(written.path), RobotFile.from_dict(document), first_action="free")
    seen = pixels()
    rig.receive("camera", image(seen, stamp_s=rig.time_s), rig.time_s)
    rig.loop.tick(rig.time_s, 0.0)
    assert_allclose(rig.out.commands, [written.action(**{CAMERA.name: seen[None]})], rtol=1e-4, atol=1e-5)


def test_images_faster_than_they_are_kept_replace_each_other_but_never_the_newest() -> None:
    """Every millisecond an image, kept at most every 5 ms: rows are at most that much older than they might be."""
    camera = Feature("cam", shape=(48, 64, 2), dtype="uint8")
    history = ObservationHistory({}, history=4, period_s=0.02, arrays={"camera": camera})
    memory = {id(history.free("camera").base)}
    for number in range(300):
        stamp_s = 1.0 + number * 1e-3
        history.free("camera").fill(number % 251)
        assert history.push("camera", stamp_s, history.free("camera"))
        memory.add(id(history.free("camera").base))
        history.sample(stamp_s)
        assert history.windows is not None
        values = history.windows["cam"][:, 0, 0, 0].astype(int)
        wanted = np.maximum(number - np.array([60, 40, 20, 0]), 0)
        late = (wanted - values) % 251
        assert late[-1] == 0
        assert (late <= 5).all()
    assert history.too_fast["camera"] > 200
    assert len(memory) == 1


def test_windows_that_would_fill_the_memory_are_refused() -> None:
    camera = Feature("cam", shape=(2000, 3000, 3), dtype="uint8")
    with pytest.raises(
        ConfigurationError, match=r"window of cam .* reaches back over 1.9 s and .* limit is 1,073,741,824"
    ):
        ObservationHistory({}, history=20, period_s=0.1, arrays={"camera": camera})


def test_a_plain_vector_has_no_arrays(tmp_path: Path) -> None:
    policy = OnnxPolicy.load(write_mixture(tmp_path / "p.onnx", observation=tuple(Feature(j, "rad") for j in JOINTS)))
    document = array_document()
    document["inputs"] = {"arm": document["inputs"]["arm"]}
    document["command"]["entries"] = [
        entry | {"action": name}
        for entry, name in zip(document["command"]["entries"], ("delta_desired_x", "delta_desired_y"), strict=True)
    ]
    for entry in document["command"]["entries"]:
        entry["unit"] = "m"
        del entry["measured"], entry["max_error"]
    rig = Rig(policy, RobotFile.from_dict(document), first_action="free")
    rig.receive("arm", joint_state(rig.time_s, shoulder=0.1, elbow=0.2), rig.time_s)
    rig.loop.tick(rig.time_s, 0.0)
    assert rig.loop.observer.arrays is None
    assert len(rig.out.commands) == 1
