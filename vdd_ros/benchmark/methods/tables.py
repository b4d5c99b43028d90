"""The tables of a benchmark, as Markdown; a table without rows is an empty text."""

from collections.abc import Callable, Iterable, Iterator

from vdd_ros.benchmark.methods.matrix import ABLATED, ABLATIONS, METHODS, SOURCES, method_of
from vdd_ros.benchmark.methods.paper_rows import Row, summary_table
from vdd_ros.benchmark.methods.results import MeanKey
from vdd_ros.benchmark.methods.summary import Group, Groups, paper_success, teacher_gap
from vdd_ros.benchmark.methods.updates import UpdateRow, updates_summary

MIXTURES = [name for name, one in METHODS.items() if method_of(SOURCES[one.model]).structure == "mixture"]


MEANS: dict[str, MeanKey] = {"return": "returns", "share of goals": "goal_share"}
"""Means that have a column where there are any, by its head."""
BELOW = "\u21b3 "
"""Stands before a milestone, below the row of its task."""


def paper_table(rows: Iterable[Row]) -> str:
    """Return the summary: success and entropy by task and method."""
    heads, *cells = summary_table(rows)
    return _table(heads, cells)


def updates_table(rows: Iterable[UpdateRow]) -> str:
    """Return success and entropy of every update of VDD, by task."""
    heads, *cells = updates_summary(rows)
    return _table(heads, cells)


def methods_table(groups: Groups) -> str:
    """Return success and entropy of every method, and a student's difference to its teacher."""
    found = whole(groups)
    heads = ["method", "passes", "success", "published", "success − teacher", "task entropy", "modes"]
    means = {head: key for head, key in MEANS.items() if any(one.mean(key) is not None for one in found)}
    heads += [*means, "inference, ms", "made in, s", "seeds"]
    rows = []
    for one, milestone in _parts(found):
        measure, gap = one.measure(milestone), teacher_gap(one, groups, milestone)
        outcome = [
            str(measure.success),
            paper_success(one["task"], one.method, milestone),
            "–" if gap is None else str(gap),
            str(measure.entropy),
        ]
        if milestone is not None:
            rows.append([BELOW + milestone, "", *outcome, *[""] * (len(heads) - 6)])
            continue
        rows.append(
            [
                one.label,
                str(one["steps"]),
                *outcome,
                _number(one.mean("modes_found"), 1),
                *(_number(one.mean(key), 3) for key in means.values()),
                _milliseconds(one),
                _number(one.mean("distil_s") or one.mean("train_s"), 0),
                str(len(one.trials)),
            ]
        )
    return _table(heads, rows)


def steps_table(groups: Groups) -> str:
    """Return inference time against sampling steps, students last."""
    diffusion = sorted(
        (found for found in whole(groups) if is_diffusion(found)), key=lambda f: (f["teacher"], f["steps"])
    )
    if not diffusion:
        return ""
    students = [found for found in whole(groups) if not is_diffusion(found)]
    rows = (
        [
            *(
                [
                    found["teacher"].upper() if is_diffusion(found) else found.label,
                    str(found["steps"]),
                    found["sampler"] or "–",
                    _milliseconds(found),
                ]
                if milestone is None
                else [BELOW + milestone, "", "", ""]
            ),
            _number(found.measure(milestone).success.mean, 3),
            _number(found.measure(milestone).entropy.mean, 3),
        ]
        for found, milestone in _parts((*diffusion, *students))
    )
    return _table(("policy", "steps", "sampler", "inference, ms", "success", "task entropy"), rows)


def mixtures_table(groups: Groups) -> str:
    """Return success and entropy of each way to train the same mixture; empty unless there are two."""
    found = [groups[method, None] for method in MIXTURES if (method, None) in groups]
    rows = (
        [
            *(
                [one.label, one["teacher"].upper() if one["teacher"] else "demonstrations", str(one["experts"])]
                if milestone is None
                else [BELOW + milestone, "", ""]
            ),
            str(one.measure(milestone).success),
            paper_success(one["task"], one.method, milestone),
            str(one.measure(milestone).entropy),
        ]
        for one, milestone in _parts(found)
    )
    heads = ("mixture", "learns from", "experts", "success", "published", "task entropy")
    return _table(heads, rows) if len(found) > 1 else ""


def ablations_table(groups: Groups) -> str:
    """Return the ablations below the student that they vary; empty without ablations."""
    found = [groups[ABLATED, variant] for variant in (None, *ABLATIONS) if (ABLATED, variant) in groups]
    if not any(one["variant"] for one in found):
        return ""
    rows = (
        [
            *(
                [
                    one["variant"] or one.label,
                    str(one["experts"]),
                    one["settings"]["gating"],
                    one["settings"]["noise_scheme"],
                ]
                if milestone is None
                else [BELOW + milestone, "", "", ""]
            ),
            str(one.measure(milestone).success),
            str(one.measure(milestone).entropy),
            str(len(one.trials)) if milestone is None else "",
        ]
        for one, milestone in _parts(found)
    )
    return _table(("variant", "experts", "gating", "noise levels", "success", "task entropy", "seeds"), rows)


TABLES: dict[str, Callable[[Groups], str]] = {
    "Success and diversity": methods_table,
    "Inference time against steps": steps_table,
    "Ways to train the mixture": mixtures_table,
    "Ablations": ablations_table,
}
"""By title."""


def whole(groups: Groups) -> list[Group]:
    """Return the groups other than ablations."""
    return [found for (_, variant), found in groups.items() if variant is None]


def is_diffusion(found: Group) -> bool:
    """Tell whether a group samples in steps."""
    return METHODS[found.method].steps is not None


def teacher_of(groups: Groups) -> Group | None:
    """Return the teacher of the student that the ablations vary, or None."""
    return groups.get((SOURCES[ABLATED].teacher or "", None))


def _parts(found: Iterable[Group]) -> Iterator[tuple[Group, str | None]]:
    """Yield each group as a whole, then with each of its milestones."""
    for one in found:
        for milestone in (None, *one.milestones):
            yield one, milestone


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads, rows = list(heads), list(rows)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _milliseconds(found: Group) -> str:
    seconds = found.mean("inference_s_p50")
    return _number(None if seconds is None else 1e3 * seconds, 3)
