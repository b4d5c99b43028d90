"""Bags become pairs: each observation is the newest before its tick, each action the first command after it."""

import json
from pathlib import Path

import numpy as np
import pytest

from vdd_ros.data.demonstrations import DemonstrationSet

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, PERIOD_NS, Sent, command, convert, document, drive, joints, write_recording


def expected(sent: list[Sent]) -> tuple[list[list[float]], list[list[float]]]:
    """Return observations and actions by the definition, in plain Python, of a recording of `drive`."""
    states = [(one.at_ns, one) for one in sent if one.topic == "/joint_states"]
    orders = [(one.at_ns, one) for one in sent if one.topic == "/commands"]
    begin = sent[0].at_ns
    observation, action = [], []
    for tick in range(begin, sent[-1].at_ns, PERIOD_NS):
        seen = [at for at, _ in states if at <= tick]
        after = [at for at, _ in orders if at > tick]
        if seen and after:
            place = (seen[-1] - begin) * 1e-9
            observation.append([place, -place])
            order = 1 + (after[0] - begin) * 1e-9
            action.append([order, -order])
    return observation, action


def test_each_action_is_the_first_command_after_its_observation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = drive(2.0)
    write_recording(tmp_path / "bags" / "ep_0", sent)
    assert convert(tmp_path, tmp_path / "bags") == 0
    found = DemonstrationSet.load(tmp_path / "D")
    observation, action = expected(sent)
    np.testing.assert_allclose(found.observation, observation, atol=1e-6)
    np.testing.assert_allclose(found.action, action, atol=1e-6)
    assert found.header.rate_hz == 20.0
    assert [str(feature) for feature in found.header.observation] == ["shoulder (rad)", "elbow (rad)"]
    assert [str(feature) for feature in found.header.action] == ["shoulder_target (rad)", "elbow_target (rad)"]
    assert (found.header.task, found.header.source) == ("arm", "bags")
    assert sorted(path.name for path in (tmp_path / "D").iterdir()) == ["demonstrations.npz", "recordings.json"]
    assert "1, 0 left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("storage", "compression"),
    [("mcap", ""), ("mcap", "message"), ("sqlite3", ""), ("sqlite3", "message"), ("sqlite3", "file")],
)
def test_every_storage_gives_the_same_pairs(tmp_path: Path, storage: str, compression: str) -> None:
    sent = drive(1.0)
    write_recording(tmp_path / "bag", sent, storage, compression)
    assert convert(tmp_path, tmp_path / "bag") == 0
    np.testing.assert_allclose(DemonstrationSet.load(tmp_path / "D").action, expected(sent)[1], atol=1e-6)


def test_messages_that_were_written_out_of_order_are_taken_in_the_order_of_receipt(tmp_path: Path) -> None:
    sent = drive(1.0)
    shuffled = [sent[place] for place in np.random.default_rng(0).permutation(len(sent))]
    write_recording(tmp_path / "bag", shuffled)
    assert convert(tmp_path, tmp_path / "bag") == 0
    np.testing.assert_allclose(DemonstrationSet.load(tmp_path / "D").observation, expected(sent)[0], atol=1e-6)


def test_a_tick_never_sees_what_was_received_after_it(tmp_path: Path) -> None:
    """A message stamped before a tick and received after it is not there yet."""
    sent = [joints(EPOCH_NS, (0.0, 0.0))]
    sent += [
        joints(EPOCH_NS + k * PERIOD_NS + 5 * MS, (k + 1.0, 0.0), EPOCH_NS + k * PERIOD_NS - 5 * MS)
        for k in range(1, 9)
    ]
    sent += [command(EPOCH_NS + k * PERIOD_NS + 10 * MS, (k, 0.0)) for k in range(9)]
    write_recording(tmp_path / "bag", sorted(sent))
    assert convert(tmp_path, tmp_path / "bag") == 0
    found = DemonstrationSet.load(tmp_path / "D")
    assert found.observation[:, 0].tolist() == [0, 0, 2, 3, 4, 5, 6, 7, 8]
    assert found.action[:, 0].tolist() == list(range(9))


def test_a_command_at_the_time_of_a_tick_belongs_to_the_tick_before(tmp_path: Path) -> None:
    sent = [joints(EPOCH_NS + k * 10 * MS, (0.0, 0.0)) for k in range(40)]
    sent += [command(EPOCH_NS + k * PERIOD_NS, (k, 0.0)) for k in range(8)]
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag") == 0
    assert DemonstrationSet.load(tmp_path / "D").action[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_relative_actions_are_differences_from_what_was_seen(tmp_path: Path) -> None:
    sent = drive(1.0)
    write_recording(tmp_path / "bag", sent)
    given = document()["command"]
    for entry, joint in zip(given["entries"], ("shoulder", "elbow"), strict=True):
        entry["relative_to"] = joint
    assert convert(tmp_path, tmp_path / "bag", command=given) == 0
    observation, action = map(np.array, expected(sent))
    np.testing.assert_allclose(DemonstrationSet.load(tmp_path / "D").action, action - observation, atol=1e-6)


def test_the_operators_commands_may_be_on_another_topic(tmp_path: Path) -> None:
    sent = [one._replace(topic="/leader") if one.topic == "/commands" else one for one in drive(1.0)]
    sent += [command(EPOCH_NS + k * 7 * MS, (0.0, 0.0)) for k in range(100)]
    write_recording(tmp_path / "bag", sent)
    assert convert(tmp_path, tmp_path / "bag", demonstrations={"commands": "/leader"}) == 0
    np.testing.assert_allclose(DemonstrationSet.load(tmp_path / "D").action, expected(drive(1.0))[1], atol=1e-6)


def test_several_bags_are_episodes_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (1, 0, 2):
        write_recording(tmp_path / "bags" / f"ep_{number}", drive(1.0 + 0.5 * number, shift=0.1 * number))
    record = tmp_path / "numbers.json"
    assert convert(tmp_path, tmp_path / "bags", options=("--json", str(record))) == 0
    found = DemonstrationSet.load(tmp_path / "D")
    assert found.lengths.tolist() == [20, 30, 40]
    assert [found.observation[one.start, 0] for one in found.episodes()] == pytest.approx([0, 0.1, 0.2], abs=1e-6)
    numbers = json.loads(record.read_text())
    assert [bag["name"] for bag in numbers["bags"]] == ["ep_0", "ep_1", "ep_2"]
    assert numbers["sha256"] == found.sha256


def test_the_alignment_is_told(tmp_path: Path) -> None:
    """Joints come every 10 ms, stamped 2 ms before receipt; commands 30 ms after each tick."""
    write_recording(tmp_path / "bag", drive(2.0))
    record = tmp_path / "numbers.json"
    assert convert(tmp_path, tmp_path / "bag", options=("--json", str(record))) == 0
    alignment = json.loads(record.read_text())["alignment"]
    seen, ordered = alignment["inputs"]["joints"], alignment["commands"]["command"]
    assert seen["rate_hz"] == pytest.approx(100)
    assert seen["time_s"]["median"] == pytest.approx(0.002, abs=1e-6)
    assert (seen["repeats"], seen["refused"]) == (0, 0)
    pairs = len(DemonstrationSet.load(tmp_path / "D").action)
    assert seen["drops"] == 4 * (pairs - 1)
    assert ordered["rate_hz"] == pytest.approx(20)
    assert ordered["time_s"]["max"] == pytest.approx(0.03, abs=1e-6)
    assert (ordered["repeats"], ordered["drops"]) == (0, 0)
    assert alignment["spread_s"]["max"] == 0


def test_files_that_the_metadata_lack_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They may be a part of the bag, or of another one."""
    write_recording(tmp_path / "bag", drive(1.0))
    (write_recording(tmp_path / "other", drive(1.0)) / "other.mcap").rename(tmp_path / "bag" / "bag_1.mcap")
    assert convert(tmp_path, tmp_path / "bag") == 0
    assert "bag: not read, since its metadata.yaml lacks them: bag_1.mcap" in capsys.readouterr().err
    assert len(DemonstrationSet.load(tmp_path / "D").action) == 20
