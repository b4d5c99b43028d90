"""Workers: every task returns exactly once, whatever happens to the processes."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import worker_tasks as tasks
from policy_files import write_mixture

from vdd_ros.cli.main import main
from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import ConfigurationError, ProcessError
from vdd_ros.evaluation import rollouts
from vdd_ros.evaluation.demonstrations import EPISODES_A_SHARE, make_demonstrations
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.policy.policy_file import PolicyFile
from vdd_ros.tasks import get_task
from vdd_ros.workers import ATTEMPTS, Function, InProcess, Result, Workers, shares, workers

DEADLINE_S = 300.0
RIGS = Path(tasks.__file__).parent


@pytest.fixture(scope="module")
def processes() -> Iterator[Workers]:
    with workers(2) as found:
        yield found


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Workers]:
    """Give a local Ray cluster of two workers; a process can have one at a time."""
    pytest.importorskip("ray")
    with workers(2, "local") as found:
        yield found


@pytest.fixture(params=["here", "processes", "ray_cluster"])
def pool(request: pytest.FixtureRequest) -> Workers:
    found: Workers = InProcess() if request.param == "here" else request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["processes", "ray_cluster"])
def others(request: pytest.FixtureRequest) -> Workers:
    """Give two workers, neither of them this process."""
    found: Workers = request.getfixturevalue(request.param)
    return found


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until_ended(pid: int) -> None:
    """Wait until a process has ended, also one that nobody has asked about since."""

    def ended() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(ended)


def by_key(pool: Workers) -> dict[str, Result]:
    results = list(pool.results())
    assert len({result.key for result in results}) == len(results)
    return {result.key: result for result in results}


def test_every_task_has_one_result(pool: Workers) -> None:
    for number in range(7):
        pool.submit(f"task {number}", tasks.square, number)
    assert by_key(pool) == {f"task {number}": Result(f"task {number}", number**2) for number in range(7)}
    assert list(pool.results()) == []


def test_tasks_run_at_the_priority_of_their_driver(pool: Workers) -> None:
    pool.submit("priority", tasks.niceness, None)
    assert by_key(pool)["priority"].value == os.nice(0)


def test_tasks_may_follow_from_results(pool: Workers) -> None:
    pool.submit("2", tasks.square, 2)
    found = []
    for result in pool.results():
        found.append(result.value)
        if result.value < 1000:
            pool.submit(str(result.value), tasks.square, result.value)
    assert found == [4, 16, 256, 65536]


def test_what_a_task_raises_is_its_result(pool: Workers) -> None:
    pool.submit("bad", tasks.fail, "no such luck")
    pool.submit("good", tasks.square, 3)
    results = by_key(pool)
    assert results["good"].value == 9
    assert results["bad"].failure == "bad: ValueError('no such luck')"
    assert "in fail" in results["bad"].details


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_exits_is_a_failure_and_the_driver_goes_on(jobs: int) -> None:
    with workers(jobs) as pool:
        pool.submit("bad", sys.exit, 3)
        pool.submit("good", tasks.square, 3)
        results = by_key(pool)
    assert results["good"].value == 9
    assert results["bad"].failure == "bad: it called sys.exit(3)"


def test_a_result_that_cannot_be_sent_is_a_failure(others: Workers) -> None:
    others.submit("function", tasks.Unsendable, None)
    others.submit("good", tasks.square, 3)
    results = by_key(others)
    assert "cannot be sent" in (results["function"].failure or "")
    assert results["good"].value == 9


def test_a_result_that_cannot_be_read_is_a_failure(others: Workers) -> None:
    others.submit("function", tasks.Unreadable, None)
    others.submit("good", tasks.square, 3)
    results = by_key(others)
    assert "its result cannot be read: TypeError" in (results["function"].failure or "")
    assert results["good"].value == 9


def test_a_killed_worker_s_task_is_restarted_and_nothing_is_lost(
    others: Workers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        others.submit(f"task {number}", tasks.square, number)
    others.submit("killed", tasks.die_at_first, (tmp_path, 1))
    for number in range(4, 8):
        others.submit(f"task {number}", tasks.square, number)
    results = by_key(others)
    assert results.pop("killed") == Result("killed", 2)
    assert results == {f"task {number}": Result(f"task {number}", number**2) for number in range(8)}
    assert capsys.readouterr().err == "killed: its worker died; it runs again\n"


class Deadly:
    """Two workers; the one with the first task is killed."""

    def __init__(self, pool: Workers, folder: Path) -> None:
        self._pool, self._folder = pool, folder
        self.keys: list[str] = []

    def submit(self, key: str, function: Function, payload: object) -> None:
        if not self.keys:
            payload, function = (self._folder, function, payload), tasks.die_and_do
        self._pool.submit(key, function, payload)
        self.keys.append(key)

    def results(self) -> Iterator[Result]:
        return self._pool.results()


def test_demonstrations_are_the_same_wherever_they_are_made_and_whoever_dies(
    others: Workers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "deaths").mkdir()
    deadly, task = Deadly(others, tmp_path / "deaths"), get_task("avoiding")
    report, _ = make_demonstrations(task, tmp_path / "D", EPISODES_A_SHARE + 1, 5, pool=deadly)
    assert report["sha256"] == task.demonstrate(EPISODES_A_SHARE + 1, 5, lambda: None).sha256
    assert DemonstrationSet.load(tmp_path / "D").sha256 == report["sha256"]
    assert f"{deadly.keys[0]}: its worker died; it runs again" in capsys.readouterr().err
    assert len(deadly.keys) == 2, "two shares, replayed: one process demonstrates, from one random stream"


def test_rollouts_are_the_same_wherever_they_run_and_whoever_dies(
    others: Workers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = PolicyFile.read(write_mixture(tmp_path / "policy.onnx"))
    policy, task, count = (
        OnnxPolicy.load(file, expert="sticky", noise="full"),
        get_task("avoiding"),
        rollouts.EPISODES_A_SHARE + 3,
    )
    here = rollouts.roll_out_seeds(policy, task, count, [0, 7])
    (tmp_path / "deaths").mkdir()
    deadly = Deadly(others, tmp_path / "deaths")
    elsewhere = rollouts.Elsewhere(deadly, file, expert="sticky", noise="full")
    there = rollouts.roll_out_seeds(policy, task, count, [0, 7], elsewhere=elsewhere)
    for seed, run in here.items():
        for field in dataclasses.fields(run):
            one, other = getattr(run, field.name), getattr(there[seed], field.name)
            assert (one is None and other is None) or np.array_equal(one, other), field.name
    assert len(here[0].lengths) == count
    assert not np.array_equal(here[0].actions[0], here[7].actions[0])
    assert not np.array_equal(here[0].actions[0], here[0].actions[rollouts.EPISODES_A_SHARE]), "streams of their own"
    assert f"{deadly.keys[0]}: its worker died; it runs again" in capsys.readouterr().err


def test_what_fails_elsewhere_names_the_episodes(others: Workers, tmp_path: Path) -> None:
    file = PolicyFile.read(write_mixture(tmp_path / "policy.onnx"))
    elsewhere = rollouts.Elsewhere(others, file, noise="noisy")
    with pytest.raises(ProcessError, match=r"seed 0, episodes 0 to 2: .*noisy"):
        rollouts.roll_out_seeds(OnnxPolicy.load(file), get_task("avoiding"), 3, [0], elsewhere=elsewhere)


def test_a_task_whose_workers_always_die_fails_in_the_end(others: Workers, tmp_path: Path) -> None:
    others.submit("deadly", tasks.die_at_first, (tmp_path, 99))
    others.submit("good", tasks.square, 3)
    results = by_key(others)
    assert f"deadly: its worker died {ATTEMPTS} times" in (results["deadly"].failure or "")
    assert len(list(tmp_path.iterdir())) == ATTEMPTS
    assert results["good"].value == 9


def test_a_worker_that_died_while_it_had_nothing_to_do_is_replaced(processes: Workers) -> None:
    for _ in range(2):
        processes.submit("process", tasks.process, None)
        (result,) = processes.results()
        os.kill(result.value, signal.SIGKILL)
        wait_until_ended(result.value)
    processes.submit("square", tasks.square, 3)
    assert [result.value for result in processes.results()] == [9]


def test_tasks_run_in_other_processes(others: Workers) -> None:
    for number in range(4):
        others.submit(str(number), tasks.process, None)
    assert os.getpid() not in {result.value for result in others.results()}


def test_workers_share_the_cores_and_show_no_bars(others: Workers) -> None:
    for name in ("OMP_NUM_THREADS", "TQDM_DISABLE"):
        others.submit(name, tasks.environment, name)
    results = by_key(others)
    assert results["OMP_NUM_THREADS"].value == str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert results["TQDM_DISABLE"].value == "1"


def test_workers_have_the_threads_that_were_asked_for() -> None:
    with workers(2, threads=3) as pool:
        pool.submit("threads", tasks.environment, "OMP_NUM_THREADS")
        assert [result.value for result in pool.results()] == ["3"]


def driver(folder: Path, ray: str | None) -> "subprocess.Popen[bytes]":
    """Start a `vdd` whose worker waits for an end."""
    program = (
        f"import sys; sys.path.insert(0, {str(RIGS)!r})\n"
        "from pathlib import Path\n"
        "import types, worker_tasks\n"
        "from vdd_ros.cli.main import main\n"
        "from vdd_ros.workers import workers\n"
        "def run(_):\n"
        f"    with workers(2, {ray!r}) as pool:\n"
        f"        pool.submit('long', worker_tasks.wait_for_an_end, Path({str(folder)!r}))\n"
        "        list(pool.results())\n"
        "if __name__ == '__main__':\n"
        "    command = types.ModuleType('vdd_ros.cli.train')\n"
        "    command.HELP, command.add_arguments, command.run = '', lambda parser: None, run\n"
        "    sys.modules['vdd_ros.cli.train'] = command\n"
        "    sys.exit(main(['train']))\n"
    )
    (folder / "driver.py").write_text(program)
    return subprocess.Popen([sys.executable, folder / "driver.py"], stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("ray", "number", "code"), [(None, signal.SIGINT, 130), ("local", signal.SIGTERM, 143)])
def test_an_interrupted_driver_interrupts_its_tasks(
    ray: str | None, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    if ray is not None:
        pytest.importorskip("ray")
    with driver(tmp_path, ray) as process:
        wait_until((tmp_path / "begun").exists)
        process.send_signal(number)
        assert process.wait(DEADLINE_S) == code
    assert (tmp_path / "ended").exists()


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    with driver(tmp_path, None) as process:
        wait_until((tmp_path / "begun").exists)
        process.send_signal(signal.SIGKILL)
    wait_until((tmp_path / "ended").exists)
    wait_until_ended(int((tmp_path / "begun").read_text()))


def test_shares_hold_every_number_once() -> None:
    for count in range(1, 30):
        found = shares(count, 7)
        assert [number for share in found for number in share] == list(range(count))
        assert {len(share) for share in found[:-1]} <= {7}


def test_one_job_is_done_here() -> None:
    with workers(1) as pool:
        assert isinstance(pool, InProcess)
        pool.submit("here", tasks.process, None)
        assert [result.value for result in pool.results()] == [os.getpid()]


def test_too_few_jobs_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="--jobs is 0"), workers(0):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_a_cluster_that_does_not_exist_is_refused(address: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "vdd_ros.cli.main", "benchmark", "methods", "--ray", address]
    work = ["--work", str(tmp_path / "work")]
    done = subprocess.run([*command, *work], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert f"--ray {address}: there is no such Ray cluster" in done.stderr


def test_without_ray_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "vdd_ros.ray_workers", raising=False)
    assert main(["benchmark", "methods", "--ray", "local", "--work", str(tmp_path / "work")]) == 2
    assert "pip install 'vdd_ros[cluster]'" in capsys.readouterr().err
