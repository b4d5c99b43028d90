"""The page of a report: self-contained, with the right numbers, and without markup from a bag."""

import base64
import json
import re
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_files import LABELS, write_bag
from policy_files import write_mixture

from vdd_ros.cli.main import main
from vdd_ros.control.decision import decision_labels
from vdd_ros.policy.onnx_policy import OnnxPolicy

EVIL = '<script>alert("$x_{$")</script>'
COUNT = 80
VOID = {"meta", "img", "link", "br", "input"}


class Page(HTMLParser):
    """Collects the elements of a page, and checks that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def records(count: int = COUNT) -> np.ndarray:
    values = np.random.default_rng(0).uniform(1e-5, 1e-3, (count, len(LABELS)))
    values[:, LABELS.index("seq")] = np.arange(count)
    values[:, LABELS.index("stamp_s")] = 100 + 0.035 * np.arange(count)
    values[:, LABELS.index("deadline_missed")] = np.arange(count) == 50
    values[:, LABELS.index("chunk_step")] = 0
    return values


def student_and_teacher(folder: Path, **info: Any) -> tuple[Path, Path]:
    """Write a bag with decisions of a mixture and of another node, and return it with the mixture's file."""
    path = write_mixture(folder / "mine.onnx")
    labels = decision_labels(OnnxPolicy.load(path).spec)
    values = np.random.default_rng(0).uniform(0.1, 0.5, (COUNT, len(labels)))
    values[:, 0], values[:, 1] = np.arange(COUNT), records()[:, LABELS.index("stamp_s")]
    values[:, -2:] *= 0.01
    machine = {"cpu": EVIL, "cores": 2}
    digest = sha256(path.read_bytes()).hexdigest()
    infos = {
        "/student": {"kind": "vdd", "policy_sha256": digest, "machine": machine, "policy": EVIL, **info},
        "/teacher": {"kind": "ddpm", "sampling_steps": 8, "machine": machine, "jitter_floor": {"p99_s": 1e-4}},
    }
    nodes = {"/student": records(), "/teacher": records()}
    decisions = {node: [(labels, values)] for node in nodes}
    return write_bag(folder / "bag", nodes, infos, decisions=decisions), path


def test_the_page_stands_alone_and_shows_everything(tmp_path: Path) -> None:
    bag, policy = student_and_teacher(tmp_path)
    file, figures, numbers = tmp_path / "r.html", tmp_path / "figures", tmp_path / "n.json"
    options = ["--policy", str(policy), "--html", str(file), "--figures", str(figures), "--json", str(numbers)]
    assert main(["latency", str(bag), *options]) == 0
    page = Page(file.read_text())
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "iframe", "object")]
    sources = [attributes["src"] or "" for tag, attributes in page.elements if tag == "img"]
    assert len(sources) == 4
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert not re.search(r"https?://", file.read_text())
    assert {path.name for path in figures.iterdir()} == {"course.png", "stages.png", "jitter.png", "agreement_1.png"}
    text = " ".join(page.text)
    found = json.loads(numbers.read_text())
    assert f"{found['nodes'][0]['stages']['total']['p50'] * 1e6:.1f}" in text
    same = found["agreement"][0]["same"]
    assert f"{same['log_prob_other']['mean']:.3g}" in text
    assert "Every tick and every decision is in the record." in text
    assert sha256(policy.read_bytes()).hexdigest() in text


def test_nothing_of_a_bag_becomes_markup(tmp_path: Path) -> None:
    bag, _ = student_and_teacher(tmp_path, noise="mean")
    assert main(["latency", str(bag), "--html", str(tmp_path / "r.html")]) == 0
    content = (tmp_path / "r.html").read_text()
    assert "<script" not in content
    assert EVIL in " ".join(Page(content).text)


def test_the_page_tells_limits_versions_and_what_the_host_refused(tmp_path: Path) -> None:
    machine = {"cpu": "Abacus", "rtprio_limit": 0, "memlock_limit": -1, "binding": "gpu", "inter_op_threads": 3}
    info = {
        "kind": "vdd",
        "machine": machine,
        "versions": {"onnxruntime": "1.2.3"},
        "ros": {"distribution": "jazzy"},
        "refused": ["the host refuses SCHED_FIFO; allow it"],
    }
    old = {"kind": "ddpm", "ros": "jazzy", "refused": None}
    bag = write_bag(tmp_path / "bag", {"/a": records(), "/b": records()}, {"/a": info, "/b": old})
    assert main(["latency", str(bag), "--html", str(tmp_path / "r.html")]) == 0
    content = (tmp_path / "r.html").read_text()
    for row in (
        ("rtprio_limit", "0", "–"),
        ("memlock_limit", "unlimited", "–"),
        ("binding", "gpu", "–"),
        ("inter_op_threads", "3", "–"),
        ("onnxruntime", "1.2.3", "–"),
        ("distribution", "jazzy", "–"),
        ("", "–", "jazzy"),
    ):
        assert "".join(f"<td>{cell}</td>" for cell in row) in content
    assert "/a: the host refuses SCHED_FIFO; allow it" in Page(content).text


def test_what_the_nodes_counted_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last message with counters says it, in an older bag under an older name; what goes well does not count."""
    good = {"state": "active", "seed": "7", "ticks": "900", "records": "900", "commands": "880", "listeners": "1"}
    diagnostics = [
        ("/student: policy", good | {"losses": "1"}),
        ("/student: policy", good | {"losses": "2", "limited_step.x": "31", "stale": "0", "total_p50_ms": "0.3000"}),
        ("/student: policy", {"state": "unconfigured"}),
        ("/arm: motor", {"ticks": "5", "faults": "4"}),
        ("/teacher: policy", good),
    ]
    nodes = {name: records() for name in ("/student", "/teacher", "/third")}
    bag = write_bag(tmp_path / "bag", nodes, {name: {"seed": 7} for name in nodes}, diagnostics=diagnostics)
    file, numbers = tmp_path / "r.html", tmp_path / "n.json"
    assert main(["latency", str(bag), "--html", str(file), "--json", str(numbers)]) == 0
    found = {node["node"]: node["counters"] for node in json.loads(numbers.read_text())["nodes"]}
    assert found == {"/student": {"failsafes": 2, "limited_step.x": 31}, "/teacher": {}, "/third": None}
    said = capsys.readouterr().out
    for text in ("counted by the node: failsafes 2, limited_step.x 31", "counted by the node: nothing"):
        assert said.count(text) == 1
        assert Page(file.read_text()).text.count(text) == 1


def test_of_further_bags_the_counters_stand_in_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bags = [
        str(
            write_bag(
                tmp_path / f"bag_{count}",
                {"/student": records()},
                diagnostics=[("/student: policy", {"ticks": "9", "overruns": str(count)})],
            )
        )
        for count in (1, 2)
    ]
    assert main(["latency", *bags]) == 0
    assert re.search(r"bag_2: /student: .*; counted by the node: overruns 2$", capsys.readouterr().out, re.MULTILINE)


def test_the_page_has_no_raw_floats_and_breaks_no_word(tmp_path: Path) -> None:
    machine = {"cpu": "Abacus", "memlock_limit": 8388608, "load": 1.27587890625, "preempt_rt": False}
    info = {
        "kind": "vdd",
        "rate_hz": 28.571428571428573,
        "wake_early_s": 0.003,
        "machine": machine,
        "sampling_steps": 8,
    }
    info |= {"jitter_floor": {"p50_s": 8.533350080597302e-05, "p99_s": 0.005699215740100953, "max_s": 0.00650798}}
    bag = write_bag(tmp_path / "bag", {"/a": records()}, {"/a": info})
    assert main(["latency", str(bag), "--html", str(tmp_path / "r.html")]) == 0
    content = (tmp_path / "r.html").read_text()
    cells = [text for text in Page(content).text if text.strip()]
    assert not [text for text in cells if re.search(r"\de[-+]\d|\d\.\d{5}|\d{6}\.", text) and len(text) < 60]
    rows = dict(pairwise(cells))
    assert rows["rate"] == "28.57\u202fHz"
    assert rows["wake_early"] == "3.00\u202fms"
    assert rows["memlock_limit"] == "8.00\u202fMiB"
    assert (rows["load"], rows["preempt_rt"]) == ("1.28", "no")
    assert (rows["p50"], rows["p99"], rows["max"]) == ("85.3\u202fµs", "5.70\u202fms", "6.51\u202fms")
    (rule,) = re.findall(r"td:first-child {([^}]*)}", content)  # `sampling_steps` came out as `sampling_ste ps`
    assert "white-space: nowrap" in rule


ESCAPE = "\x1b]0;evil\x07\u202e"


def test_what_others_named_reaches_no_terminal_and_no_page_unescaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of nodes, counters, kinds, processors, versions and keys of a bag."""
    node = f"/a{ESCAPE}"
    info = {"kind": f"vdd{ESCAPE}", "machine": {"cpu": f"cpu{ESCAPE}", "cores": f"2{ESCAPE}"}, "policy": ESCAPE}
    info |= {"versions": {f"onnx{ESCAPE}": ESCAPE}, "ros": {ESCAPE: ESCAPE}, "refused": [f"no{ESCAPE}"]}
    nodes = {node: np.delete(records(), 40, axis=0), f"/b{ESCAPE}": records()}
    said = [(f"{name}: policy", {"ticks": "5", f"stale.{ESCAPE}": "3"}) for name in nodes]
    bag = write_bag(tmp_path / "bag", nodes, {name: info for name in nodes}, diagnostics=said)
    assert main(["latency", str(bag), "--html", str(tmp_path / "r.html")]) == 1
    outcome = capsys.readouterr()
    for text in (outcome.out, outcome.err, (tmp_path / "r.html").read_text()):
        assert not set("\x1b\x07\u202e") & set(text)
    assert "/a\\x1b]0;evil\\x07\\u202e: vdd\\x1b" in outcome.out
    assert "stale.\\x1b" in outcome.out


def test_names_that_look_like_formulas_and_markup_are_drawn(tmp_path: Path) -> None:
    node = "/a<b>$x_{$"
    bag = write_bag(tmp_path / "bag", {node: records()}, {node: {"kind": "vdd"}})
    assert main(["latency", str(bag), "--html", str(tmp_path / "r.html")]) == 0
    assert "<b>" not in (tmp_path / "r.html").read_text()


def test_gaps_are_red_and_an_exit_code(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", {"/student": np.delete(records(), 40, axis=0)})
    assert main(["latency", str(bag), "--html", str(tmp_path / "r.html")]) == 1
    page = Page((tmp_path / "r.html").read_text())
    assert ("p", {"class": "gap"}) in page.elements
    assert any("1 of 80 records missing" in text for text in page.text)


def test_several_bags_have_a_table_and_a_figure_of_repeats(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    bag, policy = student_and_teacher(tmp_path / "one")
    digest = sha256(policy.read_bytes()).hexdigest()
    info = {"/student": {"kind": "vdd", "policy_sha256": digest}}
    alone = write_bag(tmp_path / "alone", {"/student": records()}, info)
    options = ["--html", str(tmp_path / "r.html"), "--figures", str(tmp_path / "figures")]
    assert main(["latency", str(bag), str(alone), *options]) == 0
    assert "Alone and together" in Page((tmp_path / "r.html").read_text()).text
    assert {"repeats.png", "course_2.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}


def test_a_policy_that_no_node_ran_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, _ = student_and_teacher(tmp_path)
    stranger = write_mixture(tmp_path / "stranger.onnx", seed=9)
    assert main(["latency", str(bag), "--policy", str(stranger)]) == 2
    assert "which no node of the bags ran" in capsys.readouterr().err
    assert main(["latency", str(bag), "--policy", "nowhere.onnx"]) == 2
    assert "nowhere.onnx is not a file" in capsys.readouterr().err


def test_without_the_file_the_table_says_how_to_get_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag, _ = student_and_teacher(tmp_path)
    assert main(["latency", str(bag)]) == 0
    assert "give the student's policy file with --policy FILE" in capsys.readouterr().out


def test_no_states_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, _ = student_and_teacher(tmp_path)
    assert main(["latency", str(bag), "--states", "0"]) == 2
    assert "--states is 0; it must be at least 1" in capsys.readouterr().err
