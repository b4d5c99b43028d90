"""Recordings with several commands: one action from all of them, each in its own way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import ARRAY, EPOCH_NS, MS, command, convert, document, drive, write_recording


def two_commands(arm: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the top of a robot file with an arm and a gripper."""
    entry = {"name": "finger", "action": "finger_target", "unit": "rad", "low": 0.0, "high": 1.0, "max_step": 1.0}
    commands = {
        "arm": {"topic": "/commands", "type": ARRAY, "on_loss": "hold", "entries": arm},
        "gripper": {"topic": "/gripper", "type": ARRAY, "on_loss": "hold", "entries": [entry]},
    }
    given = {key: value for key, value in document().items() if key != "command"}
    return given | {"commands": commands}


def run(folder: Path, given: dict[str, Any]) -> int:
    """Convert with a robot file that has no `command`."""
    import yaml

    from vdd_ros.cli.main import main

    (folder / "arm.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    return main(
        ["demos", "from-bags", str(folder / "bag"), "--robot", str(folder / "arm.yaml"), "--out", str(folder / "D")]
    )


def test_the_action_has_the_numbers_of_all_commands(tmp_path: Path) -> None:
    sent = drive(2.0)
    sent += [command(EPOCH_NS + at * MS, (value,), "/gripper") for at, value in ((20, 0.0), (1020, 1.0))]
    write_recording(tmp_path / "bag", sorted(sent))
    given = two_commands(document()["command"]["entries"])
    given["demonstrations"] = {"commands": {"gripper": {"when_silent": "keep"}}}
    assert run(tmp_path, given) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    assert [feature.name for feature in found.header.action] == ["shoulder_target", "elbow_target", "finger_target"]
    assert found.action[:, 2].tolist() == [0.0] * 20 + [1.0] * 20
    np.testing.assert_allclose(found.action[:, 0], 1.03 + 0.05 * np.arange(40), atol=1e-6)


def test_a_command_that_stays_silent_leaves_its_episode_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sent = drive(2.0)
    sent += [command(EPOCH_NS + at * MS, (value,), "/gripper") for at, value in ((20, 0.0), (1020, 1.0))]
    write_recording(tmp_path / "bag", sorted(sent))
    assert run(tmp_path, two_commands(document()["command"]["entries"])) == 2
    assert "no message of the command gripper within 0.25 s of an observation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"trim": {"until": "first_motion"}}, "the commands never change by more than 0.1 % of their range"),
        ({"shortest_s": 1.0}, "it has 9 pairs (0.45 s); at least shortest_s, 1 s, is needed"),
    ],
)
def test_a_gripper_commanded_only_at_the_end_is_the_reason_for_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: dict[str, Any], reason: str
) -> None:
    """The episode begins with the gripper, so that the motion before does not count."""
    sent = [one for one in drive(2.0) if one.topic != "/commands" or one.at_ns < EPOCH_NS + 1500 * MS]
    sent += [command(EPOCH_NS + at * MS, (1.5, -1.5)) for at in range(1550, 2000, 50)]
    sent += [command(EPOCH_NS + 1520 * MS, (1.0,), "/gripper")]
    write_recording(tmp_path / "bag", sorted(sent))
    given = two_commands(document()["command"]["entries"])
    given["demonstrations"] = {"commands": {"gripper": {"when_silent": "keep"}}, **rules}
    assert run(tmp_path, given) == 2
    assert (
        f"{reason}; it began only after 1.52 s, with the first message of the command gripper"
        in capsys.readouterr().err
    )


def test_actions_relative_to_the_last_command_are_its_steps(tmp_path: Path) -> None:
    """The first one is relative to what is measured, as in the node."""
    write_recording(tmp_path / "bag", drive(1.0))
    given = document()
    for entry in given["command"]["entries"]:
        entry["relative_to"] = "last_command"
    assert convert(tmp_path, tmp_path / "bag", **given) == 0
    action = DemonstrationSet.load(tmp_path / "D").action
    np.testing.assert_allclose(action[0], [1.03, -1.03], atol=1e-6)
    np.testing.assert_allclose(action[1:, 0], 0.05, atol=1e-6)


def test_fixed_numbers_are_not_in_the_action(tmp_path: Path) -> None:
    write_recording(tmp_path / "bag", drive(1.0))
    given = document()
    given["command"]["entries"][1] = {"name": "elbow", "fixed": -1.0, "unit": "rad"}
    assert convert(tmp_path, tmp_path / "bag", **given) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    assert [feature.name for feature in found.header.action] == ["shoulder_target"]
    np.testing.assert_allclose(found.action[:, 0], 1.03 + 0.05 * np.arange(20), atol=1e-6)


def test_the_last_command_is_what_the_operator_sent(tmp_path: Path) -> None:
    """Before the first one it is what is measured, as in the node."""
    write_recording(tmp_path / "bag", drive(1.0))
    given = document()
    given["inputs"]["last"] = {"command": "command", "entries": "all"}
    assert convert(tmp_path, tmp_path / "bag", **given) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    names = [feature.name for feature in found.header.observation]
    assert names[2:] == ["shoulder_target_commanded", "elbow_target_commanded"]
    np.testing.assert_allclose(found.observation[0], [0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.observation[1:, 2], found.action[:-1, 0], atol=1e-6)
