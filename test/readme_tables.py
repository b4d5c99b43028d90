"""The tables of README.md and docs/method.md, made from results/avoiding.json.

`python test/readme_tables.py` prints them; test_readme_tables.py holds the pages against them.
"""

import json
import statistics
from typing import Any

from checkout import CHECKOUT

RESULTS = CHECKOUT / "results" / "avoiding.json"
UPDATES = {"multi_noise": "multi-noise (default)", "paper": "paper's"}
STAGES = ("observation_age", "assemble", "inference", "publish", "bookkeeping", "not inference", "total", "lateness")


def load_results() -> dict[str, Any]:
    """Read results/avoiding.json."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def quality_table(results: dict[str, Any]) -> str:
    """Return success and entropy of the teacher and of the students of each update."""
    teacher = results["teacher"]["pooled"]
    rows = [
        "| policy | passes | success [95 %] | task entropy [95 %] | routes | distilled in |",
        "|---|---|---|---|---|---|",
        f"| teacher (DDPM) | {results['teacher']['policy']['sampling_steps']} | {_score(teacher)} | – |",
    ]
    for update, name in UPDATES.items():
        for seed in _seeds(results, update):
            score = results[f"student_{update}_{seed}"]["pooled"]
            seconds = results[f"distil_{update}_{seed}"]["seconds"]
            rows.append(f"| VDD, {name}, seed {seed} | 1 | {_score(score)} | {seconds:.0f} s |")
    return "\n".join(rows)


def quality_summary(results: dict[str, Any]) -> str:
    """Return the means over seeds, relative to the teacher."""
    teacher = results["teacher"]["pooled"]
    parts = []
    for update, name in UPDATES.items():
        seeds = _seeds(results, update)
        scores = [results[f"student_{update}_{seed}"]["pooled"] for seed in seeds]
        success = statistics.mean(score["success_rate"] for score in scores)
        entropy = statistics.mean(score["entropy"] for score in scores)
        more = "s" if len(seeds) > 1 else ""
        difference, share = success - teacher["success_rate"], entropy / teacher["entropy"]
        parts.append(
            f"{name} update, {len(seeds)} seed{more}: success {success:.3f} ({difference:+.3f} against the teacher), "
            f"entropy {entropy:.3f} ({share:.2f} of the teacher's)"
        )
    return "Means over seeds: " + "; ".join(parts) + "."


def latency_table(results: dict[str, Any]) -> str:
    """Return the medians of each stage of both nodes, in microseconds."""
    nodes = _nodes(results)
    heads = [f"{name}, {node['info'].get('sampling_steps') or 1} pass(es)" for name, node in nodes.items()]
    rows = [
        f"| median (p99), µs | {' | '.join(heads)} |".replace("1 pass(es)", "1 pass").replace("pass(es)", "passes"),
        "|---|" + "---|" * len(heads),
    ]
    for stage in STAGES:
        cells = [_micro(node["stages"][stage]) for node in nodes.values()]
        rows.append(f"| {stage.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(rows)


def latency_summary(results: dict[str, Any]) -> str:
    """Return what the table was measured on, and the ratio of the medians."""
    nodes, found = _nodes(results), results["latency"]["comparison"]
    machine = next(iter(nodes.values()))["info"]["machine"]
    ticks = " and ".join(f"{node['stages']['inference']['count']} ticks ({name})" for name, node in nodes.items())
    low, high = found["interval"]
    ratio = f"{found['ratio']:.1f} times faster ({low:.1f} to {high:.1f})"
    student, teacher = (results[label]["policy"]["bytes"] / 1e6 for label in ("student_multi_noise_0", "teacher"))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, no GPU; {ticks} in one bag, both nodes running, no gap in the "
        f"sequence numbers. The student's inference ({student:.2f} MB) is {ratio} than {found['steps']} passes of the "
        f"teacher ({teacher:.2f} MB); a student as large as the teacher was "
        f"{results['latency_equal_size']['comparison']['ratio']:.1f} times faster. All of the student's tick that is "
        f"not inference takes {found['student_overhead_s'] * 1e6:.0f} µs."
    )


def lever_table(results: dict[str, Any]) -> str:
    """Return what waking early and the size of the student do to the medians of inference."""
    runs = {
        "as shipped": "latency",
        "as shipped, once more": "latency_again",
        "`wake_early_s: 0.0`": "latency_cold",
        "a student as large as the teacher": "latency_equal_size",
    }
    rows = ["| | student, µs | teacher, µs | ratio [95 %] |", "|---|---|---|---|"]
    for name, label in runs.items():
        report = results[label]
        found, by_name = report["comparison"], {node["node"]: node["stages"]["inference"] for node in report["nodes"]}
        low, high = found["interval"]
        medians = [f"{by_name[found[role]]['p50'] * 1e6:.0f}" for role in ("student", "teacher")]
        rows.append(f"| {name} | {' | '.join(medians)} | {found['ratio']:.1f} [{low:.1f}, {high:.1f}] |")
    return "\n".join(rows)


TABLES = {make.__name__: make for make in (quality_table, quality_summary, latency_table, latency_summary, lever_table)}
"""Every text that the pages quote."""


def _seeds(results: dict[str, Any], update: str) -> list[int]:
    prefix = f"student_{update}_"
    return sorted(int(label.removeprefix(prefix)) for label in results if label.startswith(prefix))


def _nodes(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = results["latency"]["comparison"]
    by_name = {node["node"]: node for node in results["latency"]["nodes"]}
    return {"student": by_name[found["student"]], "teacher": by_name[found["teacher"]]}


def _score(score: dict[str, Any]) -> str:
    def interval(name: str, key: str) -> str:
        low, high = score[f"{name}_interval"]
        return f"{score[key]:.3f} [{low:.3f}, {high:.3f}]"

    return f"{interval('success', 'success_rate')} | {interval('entropy', 'entropy')} | {score['modes_found']} of 24"


def _micro(stage: dict[str, Any]) -> str:
    return f"{stage['p50'] * 1e6:.0f} ({stage['p99'] * 1e6:.0f})"


if __name__ == "__main__":
    print("\n\n".join(f"{name}\n\n{make(load_results())}" for name, make in TABLES.items()))
