"""Each run has a ROS domain of its own, however many run at once, until the last of its processes has ended."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vdd_ros.cli import domains
from vdd_ros.cli.demo_processes import NodeProcesses
from vdd_ros.cli.domains import DOMAINS, take_domain
from vdd_ros.errors import ProcessError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the domains of others."""
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
    deadline = time.monotonic() + 10
    while True:
        try:
            _, handle = take_domain()
            break
        except ProcessError:
            assert time.monotonic() < deadline
    os.close(handle)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "vdd_ros.domains").write_text("")
    with pytest.raises(ProcessError, match="no ROS domain can be locked in"):
        take_domain()
