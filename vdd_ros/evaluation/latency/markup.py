"""Pieces of an HTML page. Every text is made printable and escaped, since the content of a bag is not trusted."""

import base64
from collections.abc import Sequence
from html import escape as escape_markup

from vdd_ros.text import printable

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Latency and agreement</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 1.5rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; white-space: nowrap; }
td { overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.gap { color: #fff; background: #b3261e; padding: .4rem .7rem; border-radius: .3rem; }
.fine { color: #2e7d32; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; background: #fff; border-radius: .3rem; }
figcaption, .note { opacity: .75; font-size: .9em; }
</style>
</head>
<body>
"""
TAIL = "</body>\n</html>\n"


LONGEST = 2000
"""Number of characters shown of a text."""


def escape(text: str) -> str:
    """Return a text escaped for HTML, without characters that reorder text or are invisible."""
    return escape_markup(printable(text, LONGEST))


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escape(text)}</h{level}>\n"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph, of a class of the style sheet if one is given."""
    named = f' class="{escape(kind)}"' if kind else ""
    return f"<p{named}>{escape(text)}</p>\n"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def picture(png: bytes, caption: str) -> str:
    """Return a figure with a PNG inside the page."""
    data = base64.b64encode(png).decode("ascii")
    text = escape(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}">\n<figcaption>{text}</figcaption></figure>\n'
