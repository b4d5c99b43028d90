"""The layouts for Foxglove and PlotJuggler parse, and every topic, field and index that they name is published."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Int64

from vdd_ros.bags.diagnostics import DIAGNOSTICS
from vdd_ros.bags.records import array_of, names_of
from vdd_ros.control.timing import LATENCY_LABELS
from vdd_ros.robot.robot_file import RobotFile

CONFIG = Path(__file__).parents[2] / "config"
NODES = {"demo": {"student", "teacher"}, "compare": {"policy", "shadow_policy"}}
NAMES = names_of(LATENCY_LABELS)
COMMAND = RobotFile.load(CONFIG / "robots" / "avoiding.yaml").commands[0]


def check_series(topic: str, field: str, index: int | None, title: str) -> str:
    """Hold one series against what the nodes publish, and return the node (empty for the command).

    `title` is what the layout calls the series; for a latency it has to end in the label of that index.
    """
    if topic == f"/{COMMAND.topic}":
        assert field in Float64MultiArray.get_fields_and_field_types()
        assert index is not None
        assert COMMAND.entries[index]
        return ""
    node, name = re.fullmatch(r"/(\w+)/(\w+)", topic).groups()  # type: ignore[union-attr]
    if name == "expert":
        assert field in Int64.get_fields_and_field_types()
        assert index is None
    else:
        assert name == "latency"
        label = NAMES[index] if index is not None else field.partition("/")[0]
        array = field if index is not None else field.partition("/")[2]
        assert array in JointState.get_fields_and_field_types()
        assert array == array_of(label)
        assert title.endswith(label)
    return node


def parts(path: str, separator: str) -> tuple[str, str, int | None]:
    """Split a series into topic, field and index."""
    if "/latency/" in path:  # PlotJuggler calls a number of a JointState by its name
        topic, _, field = path.partition("/latency/")
        return f"{topic}/latency", field, None
    found = re.fullmatch(rf"(/[\w/]+){re.escape(separator)}(\w+)(?:\[(\d+)\])?", path)
    assert found, path
    topic, field, index = found.groups()
    return topic, field, None if index is None else int(index)


def leaves(tree: Any) -> list[str]:
    """Return the panels of a Foxglove layout."""
    if isinstance(tree, str):
        return [tree]
    assert tree["direction"] in ("row", "column")
    assert 0 < tree["splitPercentage"] < 100
    return leaves(tree["first"]) + leaves(tree["second"])


def foxglove() -> dict[str, Any]:
    layout: dict[str, Any] = json.loads((CONFIG / "foxglove_layout.json").read_text())
    return layout


def test_every_panel_of_foxglove_is_configured_and_shown_once() -> None:
    layout = foxglove()
    assert set(layout) == {"configById", "globalVariables", "userNodes", "playbackConfig", "layout"}
    tabs = layout["configById"]["Tab!nodes"]["tabs"]
    shown = leaves(layout["layout"]) + [panel for tab in tabs for panel in leaves(tab["layout"])]
    assert sorted(shown) == sorted(layout["configById"])
    assert {panel.partition("!")[0] for panel in shown} == {
        *("Plot", "Tab", "DiagnosticSummary", "DiagnosticStatusPanel")
    }


def test_the_series_of_foxglove_are_published() -> None:
    layout = foxglove()
    for tab, nodes in zip(layout["configById"]["Tab!nodes"]["tabs"], NODES.values(), strict=True):
        seen = set()
        for panel in leaves(tab["layout"]):
            # newer versions ignore a plot's `title`
            assert layout["configById"][panel]["foxglovePanelTitle"]
            for path in layout["configById"][panel]["paths"]:
                assert path["timestampMethod"] == "receiveTime"  # experts have no header
                seen.add(check_series(*parts(path["value"], "."), path["label"]))
        assert seen == {"", *nodes}


def test_the_diagnostics_of_foxglove_are_published() -> None:
    topics = {config["topicToRender"] for config in foxglove()["configById"].values() if "topicToRender" in config}
    assert topics == {DIAGNOSTICS} == {"/diagnostics"}
    assert '"/diagnostics"' in (CONFIG.parent / "vdd_ros" / "nodes" / "policy_node.py").read_text()
    assert "status" in DiagnosticArray.get_fields_and_field_types()


def test_the_series_of_plotjuggler_are_published() -> None:
    """A dock area of a latency is called by its label."""
    root = ElementTree.parse(CONFIG / "plotjuggler_layout.xml").getroot()
    window = root.find("tabbed_widget")
    assert window is not None
    assert (window.get("name"), window.get("parent")) == ("Main Window", "main_window")
    assert [tab.get("tab_name") for tab in window.iter("Tab")] == list(NODES)
    for splitter in window.iter("DockSplitter"):
        sizes = [float(size) for size in (splitter.get("sizes") or "").split(";")]
        assert len(sizes) == len(splitter) == int(splitter.get("count") or 0)
        assert sum(sizes) == pytest.approx(1)
    for tab in window.iter("Tab"):
        seen = set()
        for area in tab.iter("DockArea"):
            for curve in area.iter("curve"):
                assert re.fullmatch(r"#[0-9a-f]{6}", curve.get("color") or "")
                seen.add(check_series(*parts(curve.get("name") or "", "/"), area.get("name") or ""))
        assert seen == {"", *NODES[tab.get("tab_name") or ""]}


def test_both_layouts_plot_the_essential_topics() -> None:
    foxglove_text, plotjuggler = ((CONFIG / f).read_text() for f in ("foxglove_layout.json", "plotjuggler_layout.xml"))
    for label in ("inference_s", "total_s", "lateness_s", "observation_age_s", "novelty"):
        assert f"latency.{array_of(label)}[{NAMES.index(label)}]" in foxglove_text
        assert f"latency/{label}/{array_of(label)}" in plotjuggler
