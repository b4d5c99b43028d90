"""The report of a benchmark: Markdown tables with figures between them."""

import os
from pathlib import Path

from vdd_ros.benchmark.markdown_block import fill_block
from vdd_ros.benchmark.methods.data_names import file_name, title
from vdd_ros.benchmark.methods.figures import FIGURES, SUMMARY_FIGURE, UPDATES_FIGURE, draw, draw_summary, draw_updates
from vdd_ros.benchmark.methods.paper_rows import footnotes, paper_rows, sections
from vdd_ros.benchmark.methods.results import Record
from vdd_ros.benchmark.methods.summary import group, settings_apart
from vdd_ros.benchmark.methods.tables import TABLES, paper_table, updates_table
from vdd_ros.benchmark.methods.updates import describe, update_rows
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
        for task, style, backbone in sections(records):
            groups = group(records, task, backbone, style)
            draw(groups, folder, file_name(task, style), backbone, _heading(task, style, backbone))
        draw_summary(paper_rows(records), folder)
        draw_updates(update_rows(records), folder)
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
    parts = [_preface(records), *_summary(records, figures), *_updates(records, figures)]
    for task, style, backbone in sections(records):
        groups = group(records, task, backbone, style)
        parts.append(f"## {_heading(task, style, backbone)}")
        for name, table in TABLES.items():
            if not (text := table(groups)):
                continue
            drawings = [drawing for drawing in FIGURES.get(name, []) if drawing.applies(groups)]
            files = [drawing.file(file_name(task, style), backbone) for drawing in drawings]
            parts += [f"### {name}", text, *(f"![{name}]({(figures / file).as_posix()})" for file in files)]
    parts += section(folder, figures)
    return "\n\n".join(parts)


def _heading(task: str, style: str | None, backbone: str) -> str:
    return f"{title(task, style)}, {backbone.upper()} backbone"


def _summary(records: list[Record], figures: Path) -> list[str]:
    """Return the paragraphs of the summary."""
    rows = paper_rows(records)
    text = (
        "Success / task entropy of each method, by task and milestone; in parentheses the style of demonstrations. "
        "*training, h* is the time of all trainings of a row, each model once, as if one after another"
    )
    hours = sum(row.trained_s or 0.0 for row in rows if row.milestone is None) / 3600
    text += f"; that of all rows {hours:.1f} hours."
    notes = [f"{mark} {note}" for mark, note in footnotes(rows).values()]
    picture = f"![The paper's rows]({(figures / SUMMARY_FIGURE).as_posix()})"
    return ["## The paper's rows", text, paper_table(rows), *notes, picture]


def _updates(records: list[Record], figures: Path) -> list[str]:
    """Return the paragraphs of the comparison of updates; none unless all were measured on a task."""
    if not (rows := update_rows(records)):
        return []
    picture = f"![Updates]({(figures / UPDATES_FIGURE).as_posix()})"
    return ["## Updates of VDD", describe(rows), updates_table(rows), picture]


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
        "intervals for these seeds, over their rollouts and, where episodes start differently, over contexts; "
        "*success − teacher* is paired by contexts. Published figures are from the VDD paper, with GPT backbones "
        "and its own simulator. Inference is the median time per action in one thread.",
        f"Trained on {'; '.join(trained)}. Inference times from {'; '.join(timed) or 'no machine yet'}.",
    ]
    for task, style, backbone in sections(records):
        compared = [trial for one in group(records, task, backbone, style).values() for trial in one.trials]
        if apart := settings_apart(compared):
            name = _heading(task, style, backbone)
            lines.append(f"{name}: not all trials were measured alike: {', '.join(apart)}.")
    return "\n\n".join(lines)
