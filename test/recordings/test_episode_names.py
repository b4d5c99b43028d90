"""Names of episodes are unique, whatever labels and bags are called."""

import json
from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from recorded_arm import EPOCH_NS, MS, Sent, convert, drive, marker, write_recording

from vdd_ros.recordings import bag_conversion, conversion
from vdd_ros.recordings.bag_list import NamedBag
from vdd_ros.recordings.episode_names import EpisodeNames

DIVIDED = {"when_interrupted": "divide", "shortest_s": 0.3}


def marked(*labels: str, silent: int | None = None) -> list[Sent]:
    """Return a recording with an episode of 2 s for each label; in one of them, the joints are silent for a while."""
    sent = drive(2.0 * len(labels))
    if silent is not None:
        start_ns = EPOCH_NS + (2_000 * silent + 900) * MS
        sent = [one for one in sent if one.topic != "/joint_states" or not start_ns < one.at_ns < start_ns + 500 * MS]
    sent += [marker(EPOCH_NS + (2_000 * k + 100) * MS, "String", label) for k, label in enumerate(labels)]
    return sorted(sent, key=lambda one: one.at_ns)


def names(folder: Path) -> list[str]:
    """Return the names in the record of a conversion; no episode may be left out."""
    bags = json.loads((folder / "D/recordings.json").read_text())["bags"]
    assert not any(bag["left_out"] for bag in bags)
    return [episode["name"] for bag in bags for episode in bag["episodes"]]


def test_a_label_that_comes_again_names_another_episode(tmp_path: Path) -> None:
    write_recording(tmp_path / "bag", marked("pick", "place", "pick", "pick (2)", "", "pick"))
    assert convert(tmp_path, tmp_path / "bag", demonstrations={"episodes": {"topic": "/episode"}}) == 0
    assert names(tmp_path) == ["bag#pick", "bag#place", "bag#pick (2)", "bag#pick (2) (2)", "bag#pick (3)"]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (("pick:1", "pick", "pick:3"), ["pick:1", "pick (2):1", "pick (2):2", "pick:3"]),
        (("pick:7", "pick", "pick:10"), ["pick:7", "pick (2):1", "pick (2):2", "pick:10"]),
        (("start", "pick", "pick:1"), ["start", "pick:1", "pick:2", "pick:1 (2)"]),
        (("pick:01", "pick", "pick:x"), ["pick:01", "pick:1", "pick:2", "pick:x"]),
    ],
)
def test_no_label_takes_the_name_of_a_part(tmp_path: Path, labels: tuple[str, ...], found: list[str]) -> None:
    write_recording(tmp_path / "bag", marked(*labels, silent=1))
    rules = {**DIVIDED, "episodes": {"topic": "/episode"}}
    assert convert(tmp_path, tmp_path / "bag", demonstrations=rules) == 0
    assert names(tmp_path) == [f"bag#{name}" for name in found]


@pytest.mark.parametrize("divides", [False, True])
def test_labels_with_numbers_stay_as_they_are(divides: bool) -> None:
    found = EpisodeNames(divides=divides)
    assert [found.name("bag", label) for label in ("pick:1", "pick:2", "a\n:1")] == [
        "bag#pick:1",
        "bag#pick:2",
        "bag#a\n:1",
    ]
    assert found.name("bag", "a\n") == ("bag#a\n (2)" if divides else "bag#a\n")


def test_bags_are_named_like_episodes_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the others were converted before an interruption."""
    write_recording(tmp_path / "bags" / "run", [one for one in marked("", "", silent=1) if one.topic != "/episode"])
    write_recording(tmp_path / "bags" / "run:2", drive(2.0))

    def stop(bag: NamedBag, *others: object) -> object:
        if bag.name == "run:2":
            raise KeyboardInterrupt
        return convert_bag(bag, *others)  # type: ignore[arg-type]

    convert_bag = bag_conversion.convert_bag
    monkeypatch.setattr(conversion, "convert_bag", stop)
    assert convert(tmp_path, tmp_path / "bags", demonstrations=DIVIDED) == 130
    monkeypatch.undo()
    assert convert(tmp_path, tmp_path / "bags", options=("--resume",), demonstrations=DIVIDED) == 0
    assert names(tmp_path) == ["run:1", "run:2", "run:2 (2)"]
    assert convert(tmp_path, tmp_path / "bags", options=("--force",), demonstrations=DIVIDED) == 0
    assert names(tmp_path) == ["run:1", "run:2", "run:2 (2)"]
