"""Contexts from end to end: demonstrated, kept, replayed from, evaluated from."""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import two_doors
from plugins import installed
from policy_files import write_mixture

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, DemonstrationError, TaskError
from vdd_ros.evaluation.contexts import contexts_of_episodes, read_contexts
from vdd_ros.features import Feature
from vdd_ros.tasks import Task, get_task
from vdd_ros.tasks.registry import TASKS
from vdd_ros.tasks.rollout import replay


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    source = Path(two_doors.__file__).read_text()
    with installed(TASKS, tmp_path / "site", "two-doors", source, "TASK"):
        yield get_task("two-doors")


def test_demonstrations_are_replayed_from_their_contexts(task: Task, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert main(["demos", "two-doors", "--out", str(tmp_path / "D"), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["contexts"] == 12
    found = DemonstrationSet.load(tmp_path / "D")
    assert found.contexts.shape == (12, 1)
    assert found.header.context == (Feature("start", "m"),)
    replayed = replay(task.make_sim(12), found)
    assert replayed.success.all()
    assert (replayed.observations[:, 0, 0] == found.contexts[:, 0]).all()


def test_from_other_contexts_the_replay_is_another_one(task: Task) -> None:
    found = task.demonstrate(12, 0, lambda: None)
    moved = replace(found, contexts=np.zeros_like(found.contexts))
    assert not replay(task.make_sim(12), moved).success.all()


def test_contexts_count_in_the_digest(task: Task) -> None:
    found = task.demonstrate(4, 0, lambda: None)
    moved = found.contexts.copy()
    moved[2, 0] = np.nextafter(moved[2, 0], 1.0)
    assert replace(found, contexts=moved).sha256 != found.sha256


def test_contexts_that_do_not_fit_the_header_are_refused(task: Task) -> None:
    found = task.demonstrate(4, 0, lambda: None)
    with pytest.raises(DemonstrationError, match=r"'contexts' has shape \(3, 1\)"):
        replace(found, contexts=found.contexts[:3])
    with pytest.raises(DemonstrationError, match="'contexts' is not finite in 1 episodes, first in episode 0"):
        replace(found, contexts=np.where(np.arange(4)[:, None] == 0, np.nan, found.contexts))


def test_contexts_are_drawn_by_the_seed_and_apart_from_the_demonstrated_ones(task: Task) -> None:
    assert (task.draw_contexts(5, 3) == task.draw_contexts(5, 3)).all()
    assert not np.isin(task.draw_contexts(12, 0), task.demonstrate(12, 0, lambda: None).contexts).any()


def test_a_task_that_says_contexts_and_draws_none_is_reported(task: Task) -> None:
    with pytest.raises(TaskError, match="start from contexts of 1 numbers, and none were given"):
        replace(task, contexts=None).draw_contexts(2, 0)


def test_rollouts_share_the_contexts(task: Task) -> None:
    starts = contexts_of_episodes(task, None, 10)
    assert len(np.unique(starts)) == task.test_contexts == 4
    assert (starts[4:8] == starts[:4]).all()
    assert len(np.unique(contexts_of_episodes(task, 3, 10))) == 3


def test_numbers_of_contexts_that_cannot_be_are_refused(task: Task) -> None:
    with pytest.raises(ConfigurationError, match="--contexts is 0; it must be at least 1"):
        contexts_of_episodes(task, 0, 10)
    with pytest.raises(ConfigurationError, match="--contexts is 2; all episodes of 'avoiding' start alike"):
        contexts_of_episodes(get_task("avoiding"), 2, 10)


def test_a_gymnasium_environment_starts_from_a_given_context_or_draws_one(task: Task) -> None:
    pytest.importorskip("gymnasium")
    from vdd_ros.tasks.gym import TaskEnv, TaskVectorEnv

    env = TaskEnv("two-doors")
    assert env.reset(seed=0, options={"context": [0.25]})[0].tolist() == [0.25, two_doors.HEIGHT]
    assert (env.reset(seed=1)[0] == env.reset(seed=1)[0]).all()
    assert (env.reset(seed=1)[0] != env.reset(seed=2)[0]).any()
    assert env.step(np.array([0.1]))[1] == -1.0, "the reward is the task's"
    envs = TaskVectorEnv("two-doors", 3)
    assert len(np.unique(envs.reset(seed=0)[0][:, 0])) == 3
    ended = envs.step(np.array([[5.0], [0.0], [0.0]]))[2]
    observation, reward, *_ = envs.step(np.zeros((3, 1)))
    assert ended.tolist() == [True, False, False]
    assert abs(observation[0, 0]) <= 0.5
    assert reward.tolist() == [0.0, -1.0, -1.0], "none for the step that starts anew"


def test_given_contexts_are_taken_in_turn(task: Task, tmp_path: Path) -> None:
    file = tmp_path / "contexts.npz"
    np.savez(file, start=np.array([0.1, -0.2], dtype=np.float32))
    found = read_contexts(file, task.spec)
    assert found == pytest.approx(np.array([[0.1], [-0.2]]))
    assert contexts_of_episodes(task, found, 5)[:, 0] == pytest.approx([0.1, -0.2, 0.1, -0.2, 0.1])


def test_arrays_of_contexts_are_checked(task: Task) -> None:
    assert len(contexts_of_episodes(task, np.int64(2), 3)) == 3
    for wrong in (np.zeros((0, 1)), np.zeros(3), np.zeros((3, 2))):
        with pytest.raises(ConfigurationError, match=r"those of 'two-doors' are \(C, 1\), C at least 1"):
            contexts_of_episodes(task, wrong, 3)
    with pytest.raises(ConfigurationError, match="all episodes of 'avoiding' start alike, so omit it"):
        contexts_of_episodes(get_task("avoiding"), np.zeros((3, 1)), 3)


@pytest.mark.parametrize("damage", [b"\xff" * 40, b""])
def test_a_damaged_archive_of_contexts_is_refused(task: Task, tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "contexts.npz"
    np.savez_compressed(file, start=np.arange(200.0))
    content = file.read_bytes()
    file.write_bytes(content[:60] + damage + content[60 + len(damage) :] if damage else content[: len(content) // 2])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_contexts(file, task.spec)


def test_contexts_of_demonstrations_are_taken(task: Task, tmp_path: Path) -> None:
    made = task.demonstrate(4, 0, lambda: None)
    made.save(tmp_path / "D")
    assert np.array_equal(read_contexts(tmp_path / "D", task.spec), made.contexts)
    assert np.array_equal(read_contexts(tmp_path / "D" / "demonstrations.npz", task.spec), made.contexts)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"red_x": np.zeros(3)}, r"holds red_x; contexts of 'two-doors' are the arrays start"),
        ({}, "holds nothing; contexts of 'two-doors' are the arrays start"),
        ({"start": np.zeros((3, 1))}, r"arrays of the shapes \(3, 1\); each must be \(C,\)"),
        ({"start": np.zeros(0)}, r"arrays of the shapes \(0,\); each must be"),
        ({"start": np.array([0.0, np.nan])}, "context 1 is not finite"),
        ({"start": np.array(["a"])}, "'start' is of the type <U1, no real number"),
        ({"start": np.array([None])}, "cannot be read .*; give an .npz archive with the arrays start"),
    ],
)
def test_unusable_contexts_are_refused(task: Task, tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "contexts.npz", **arrays)
    with pytest.raises(ConfigurationError, match=message):
        read_contexts(tmp_path / "contexts.npz", task.spec)


def test_what_holds_no_contexts_is_refused(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.npz cannot be read"):
        read_contexts(tmp_path / "nowhere.npz", task.spec)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ConfigurationError, match=r"text\.npz cannot be read"):
        read_contexts(tmp_path / "text.npz", task.spec)
    with pytest.raises(ConfigurationError, match="all episodes of 'avoiding' start alike, so omit it"):
        read_contexts(tmp_path / "text.npz", get_task("avoiding").spec)
    get_task("avoiding").demonstrate(2, 0, lambda: None).save(tmp_path / "A")
    with pytest.raises(ConfigurationError, match="demonstrations of 'avoiding', whose contexts are not those of 'two-"):
        read_contexts(tmp_path / "A", task.spec)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ConfigurationError, match=r"cannot be read \(it holds 'readme.txt', which is no array\)"):
        read_contexts(tmp_path / "other.zip", task.spec)
    whole = task.demonstrate(4, 0, lambda: None)
    bare = replace(whole, header=replace(whole.header, context=()), contexts=np.zeros((4, 0)))
    bare.save(tmp_path / "bare")
    with pytest.raises(ConfigurationError, match="these demonstrations of 'two-doors' hold no contexts; give ones of"):
        read_contexts(tmp_path / "bare", task.spec)
    monkeypatch.setattr("vdd_ros.evaluation.contexts.MOST_BYTES", 100)
    np.savez(tmp_path / "large.npz", start=np.zeros(100))
    with pytest.raises(ConfigurationError, match="bytes; at most 100 are read"):
        read_contexts(tmp_path / "large.npz", task.spec)


def test_a_policy_is_evaluated_from_given_contexts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, file, record = get_task("example_arm").spec, tmp_path / "contexts.npz", tmp_path / "record.json"
    np.savez(file, target_x=np.array([0.1, -0.1, 0.0]), target_y=np.array([0.4, 0.5, 0.45]))
    action = tuple(replace(entry, low=-3.0, high=4.0) for entry in spec.action)
    entries: dict[str, Any] = {"task": "example_arm", "observation": spec.observation, "action": action}
    policy = write_mixture(tmp_path / "policy.onnx", rate_hz=spec.rate_hz, **entries)
    words = ["evaluate", str(policy), "--rollouts", "6", "--contexts", str(file), "--json", str(record)]
    assert main(words) == 0
    found = json.loads(record.read_text())
    assert found["pooled"]["contexts"] == 3
    assert len(found["settings"]["contexts_sha256"]) == 64
    assert main([*words[:5], "0"]) == 2
    assert "--contexts is 0; it must be from 1" in capsys.readouterr().err
