"""Logs of nodes on the console: whole lines, each once, whatever a process writes when."""

import re
from pathlib import Path

from vdd_ros.running.log_tail import LogTail

TIME = r"\d\d:\d\d:\d\d "


def texts(lines: list[str]) -> list[str]:
    """Return lines without the time of day, which each begins with."""
    assert all(re.match(TIME, line) for line in lines)
    return [re.sub(TIME, "", line, count=1) for line in lines]


def test_each_line_is_shown_once_with_its_node_and_level(tmp_path: Path) -> None:
    tail = LogTail(tmp_path)
    assert tail.lines(["policy"]) == []
    log = tmp_path / "policy.log"
    log.write_text("[INFO] [1764470000.123456789] [policy]: running\n[WARN] [1764470001.5] [arm.policy]: stale: tcp\n")
    assert texts(tail.lines(["policy"])) == ["policy: running", "policy: warning: stale: tcp"]
    with log.open("a") as more:
        more.write("[ERROR] [1764470002.5] [policy]: half of ")
    assert tail.lines(["policy"]) == []
    with log.open("a") as more:
        more.write("a line\n\nConfigurationError: no file\nno end")
    assert texts(tail.lines(["policy"])) == ["policy: error: half of a line", "policy: ConfigurationError: no file"]
    assert texts(tail.lines(["policy"], last=True)) == ["policy: no end"]
    assert tail.lines(["policy"], last=True) == []


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "policy.log").write_bytes(b"\xff\xfe\n")
    assert texts(LogTail(tmp_path).lines(["policy"])) == ["policy: \ufffd\ufffd"]
