"""Each run has a ROS domain of its own, however many run at once, until the last of its processes has ended."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vdd_ros.errors import ProcessError
from vdd_ros.running import ros_domains as domains
from vdd_ros.running.node_processes import NodeProcesses
from vdd_ros.running.ros_domains import DOMAINS, take_domain


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the domains of others."""
    monkeypatch.setattr(domains, "NAME", f"vdd_ros.test.{os.getpid()}.{tmp_path.name}.{{}}", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)


def test_no_domain_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor that in which the shell is."""
    monkeypatch.setattr(domains, "DOMAINS", range(1, 5))
    monkeypatch.setenv("ROS_DOMAIN_ID", "3")
    taken = [take_domain() for _ in range(3)]
    assert {number for number, _ in taken} == {1, 2, 4}
    with pytest.raises(ProcessError, match="every ROS domain from 1 to 4 is taken by another demo or soak"):
        take_domain()
    os.close(taken[1][1])
    again, handle = take_domain()
    assert again == taken[1][0]
    for open_one in (taken[0][1], taken[2][1], handle):
        os.close(open_one)


def test_the_nodes_of_two_runs_are_in_different_domains(tmp_path: Path) -> None:
    with NodeProcesses(tmp_path) as one, NodeProcesses(tmp_path) as other, NodeProcesses(tmp_path, 7) as given:
        numbers = [nodes._environment["ROS_DOMAIN_ID"] for nodes in (one, other, given)]
    assert numbers[0] != numbers[1]
    assert all(int(number) in DOMAINS for number in numbers)
    assert numbers[2] == "7"
    with NodeProcesses(tmp_path) as later:
        assert later._environment["ROS_DOMAIN_ID"] == numbers[0]


def test_a_node_that_outlives_its_run_keeps_the_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a demo is killed: its nodes go on."""
    monkeypatch.setattr(domains, "DOMAINS", range(1, 2))
    _, handle = take_domain()
    orphan = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[handle])
    os.close(handle)
    with pytest.raises(ProcessError, match="is taken"):
        take_domain()
    orphan.communicate(b"\n")
    deadline = time.monotonic() + 120
    while True:
        try:
            _, handle = take_domain()
            break
        except ProcessError:
            assert time.monotonic() < deadline
    os.close(handle)


def test_nothing_in_the_shared_temporary_folder_is_made_changed_or_followed(tmp_path: Path) -> None:
    """There, another user may have put a link to any folder of this one's."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (tmp_path / "vdd_ros.domains").symlink_to(private)
    os.close(take_domain()[1])
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert not list(private.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["private", "vdd_ros.domains"]


def test_a_name_that_cannot_be_bound_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domains, "NAME", "x" * 200)
    with pytest.raises(ProcessError, match="no ROS domain can be taken"):
        take_domain()
