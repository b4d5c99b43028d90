"""The report of a benchmark: Markdown tables with figures between them."""

import os
from collections.abc import Iterable
from pathlib import Path

from vdd_ros.benchmark.markdown_block import fill_block
from vdd_ros.benchmark.methods.figures import FIGURES, draw
from vdd_ros.benchmark.methods.results import Record
from vdd_ros.benchmark.methods.summary import group, settings_apart
from vdd_ros.benchmark.methods.tables import TABLES
from vdd_ros.benchmark.speed.command import draw_comparison, section
from vdd_ros.files import UPDATE_WAIT_S, replacing
from vdd_ros.host.facts import MachineFacts
from vdd_ros.locks import holding
from vdd_ros.text import counted

REPORT_FILE = "benchmark.md"
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"


def write_report(records: list[Record], folder: Path) -> str:
    """Write tables and figures of trials into a folder; return the tables as Markdown."""
    text = render(records, folder, Path())
    with holding(folder, wait_s=UPDATE_WAIT_S):
        for task, backbone in sections(records):
            draw(group(records, task, backbone), folder, task, backbone)
        draw_comparison(folder)
        with replacing(folder / REPORT_FILE) as aside:
            aside.write_text(text + "\n", encoding="utf-8")
    return text


def update_page(page: Path, records: list[Record], figures: Path) -> None:
    """Put the tables between the marks of a page.

    Args:
        page: Markdown with `BEGIN` and `END` on lines of their own.
        records: The trials.
        figures: Folder of the figures.

    Raises:
        ConfigurationError: The page lacks the marks.
    """
    tables = render(records, figures, Path(os.path.relpath(figures, page.parent)))
    with holding(page.parent, wait_s=UPDATE_WAIT_S):
        fill_block(page, BEGIN, END, tables)


def render(records: list[Record], folder: Path, figures: Path) -> str:
    """Return the tables as Markdown.

    Args:
        records: The trials.
        folder: Folder of the figures and of the record of a speed comparison, if any.
        figures: The same folder, relative to the page.
    """
    if not records:
        return "Nothing has been measured yet."
    parts = [_preface(records)]
    for task, backbone in sections(records):
        groups = group(records, task, backbone)
        parts.append(f"## {task.capitalize()}, {backbone.upper()} backbone")
        for title, table in TABLES.items():
            if not (text := table(groups)):
                continue
            files = [drawing.file(task, backbone) for drawing in FIGURES.get(title, []) if drawing.applies(groups)]
            parts += [f"### {title}", text, *(f"![{title}]({(figures / file).as_posix()})" for file in files)]
    parts += section(folder, figures)
    return "\n\n".join(parts)


def sections(records: Iterable[Record]) -> list[tuple[str, str]]:
    """Return the pairs of task and backbone of some trials, sorted."""
    return sorted({(record["task"], record["backbone"]) for record in records})


def _preface(records: list[Record]) -> str:
    def machine(facts: MachineFacts, count: int | None = None, gpu: str | None = None) -> str:
        threads = "" if count is None else f", {counted(count, 'thread')}"
        return f"{counted(facts['cores'], 'core')} of {facts['cpu']}{threads}" + (f", {gpu}" if gpu else "")

    machines = [record["machine"] for record in records]
    trained = sorted({machine(facts, facts.get("threads"), facts.get("gpu")) for facts in machines})
    timed = sorted({machine(facts) for record in records if (facts := record["inference_machine"])})
    rollouts = " or ".join(str(count) for count in sorted({record["rollouts"] for record in records}))
    lines = [
        f"{len(records)} trials, {rollouts} rollouts each. ± is the standard deviation over seeds; brackets are 95 % "
        "intervals for these seeds, over their rollouts. Published figures are from the VDD paper, with GPT backbones "
        "and its own simulator. Inference is the median time per action in one thread.",
        f"Trained on {'; '.join(trained)}. Inference times from {'; '.join(timed) or 'no machine yet'}.",
    ]
    if apart := settings_apart(records):
        lines.append(f"Not all trials were measured alike: {', '.join(apart)}.")
    return "\n\n".join(lines)
