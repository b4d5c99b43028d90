"""The tables of README.md, docs/install.md, docs/latency.md, docs/method.md and docs/your_robot.md, made from results/.

`python test/rigs/readme_tables.py` prints them; test_readme_tables.py holds the pages against them.
"""

import json
from typing import Any

from checkout import CHECKOUT

from vdd_ros.benchmark.methods.results import read_results
from vdd_ros.benchmark.methods.summary import Groups, group
from vdd_ros.benchmark.methods.tables import methods_table, updates_table
from vdd_ros.benchmark.methods.updates import update_rows

RESULTS = CHECKOUT / "results" / "avoiding.json"
PROVIDERS = CHECKOUT / "results" / "providers.json"
TUTORIAL = CHECKOUT / "results" / "your_robot.json"
CELLS = CHECKOUT / "results" / "benchmark.json"
SHOWN = ("ddpm", "beso", "beso-1", "cd", "ctm", "em", "imc", "vdd-paper-beso", "vdd-ddpm", "vdd-beso")
STAGES = ("observation_age", "assemble", "inference", "publish", "bookkeeping", "not inference", "total", "lateness")


def load_results() -> dict[str, Any]:
    """Read results/avoiding.json: the shipped policies in their task and in the demo."""
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def load_groups() -> Groups:
    """Read the trials of results/benchmark.json that have the GPT backbone."""
    return group(read_results(CELLS), "avoiding", "gpt")


def quality_table() -> str:
    """Return success and entropy of the teachers, VDD and its baselines."""
    return methods_table({name: found for name, found in load_groups().items() if name in [(n, None) for n in SHOWN]})


def update_table() -> str:
    """Return success and entropy of each update of VDD, by task."""
    return updates_table(update_rows(read_results(CELLS)))


def headline() -> str:
    """Return what distillation gains and keeps: the students of the BESO teacher beside it."""
    groups = load_groups()
    teacher, student = groups["beso", None], groups["vdd-beso", None]
    times = [1e3 * (found.mean("inference_s_p50") or 0.0) for found in (student, teacher)]
    return (
        f"On the Avoiding task, the student takes {times[0]:.2f} ms per action on one CPU core, its teacher of "
        f"{teacher['steps']} steps {times[1]:.2f} ms. Success is {student.success.mean:.3f} (teacher "
        f"{teacher.success.mean:.3f}), task entropy "
        f"{student.entropy.mean:.3f} ({teacher.entropy.mean:.3f}), {student.mean('modes_found'):.0f} of 24 routes."
    )


def shipped_summary() -> str:
    """Return what the shipped policies do."""
    results = load_results()
    student, teacher = (_score(results[role]["pooled"]) for role in ("student", "teacher"))
    return f"The policies in models/: student {student}; teacher {teacher}."


def latency_table() -> str:
    """Return the medians of each stage of both nodes, in microseconds."""
    nodes = _nodes(load_results())
    heads = [f"{name}, {node['info'].get('sampling_steps') or 1} pass(es)" for name, node in nodes.items()]
    rows = [
        f"| median (p99), µs | {' | '.join(heads)} |".replace("1 pass(es)", "1 pass").replace("pass(es)", "passes"),
        "|---|" + "---|" * len(heads),
    ]
    for stage in STAGES:
        cells = [_micro(node["stages"][stage]) for node in nodes.values()]
        rows.append(f"| {stage.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(rows)


def latency_summary() -> str:
    """Return what the table was measured on, and the ratio of the medians."""
    results = load_results()
    nodes, found = _nodes(results), results["latency"]["comparison"]
    machine = next(iter(nodes.values()))["info"]["machine"]
    ticks = " and ".join(f"{node['stages']['inference']['count']} ticks ({name})" for name, node in nodes.items())
    low, high = found["interval"]
    ratio = f"{found['ratio']:.1f} times faster ({low:.1f} to {high:.1f})"
    student, teacher = (results[role]["policy"]["bytes"] / 1e6 for role in ("student", "teacher"))
    return (
        f"{machine['cpu']}, {machine['cores']} cores, no GPU; {ticks} in one bag, both nodes running, no gap in the "
        f"sequence numbers. The student's inference ({student:.2f} MB) is {ratio} than {found['steps']} passes of the "
        f"teacher ({teacher:.2f} MB). Everything else in the student's tick takes "
        f"{found['student_overhead_s'] * 1e6:.0f} µs."
    )


def lever_table() -> str:
    """Return what waking early does to the medians of inference."""
    runs = {
        "`wake_early_s: 0.003`": "latency",
        "`wake_early_s: 0.002`": "latency_again",
        "`wake_early_s: 0.0`": "latency_cold",
    }
    rows = ["| | student, µs | teacher, µs | ratio [95 %] |", "|---|---|---|---|"]
    for name, label in runs.items():
        report = load_results()[label]
        found, by_name = report["comparison"], {node["node"]: node["stages"]["inference"] for node in report["nodes"]}
        low, high = found["interval"]
        medians = [f"{by_name[found[role]]['p50'] * 1e6:.0f}" for role in ("student", "teacher")]
        rows.append(f"| {name} | {' | '.join(medians)} | {found['ratio']:.1f} [{low:.1f}, {high:.1f}] |")
    return "\n".join(rows)


def providers_table() -> str:
    """Return what the shipped policies take on a CPU and on a GPU."""
    rows = ["| policy | provider | opened, s | first run, ms | a run, µs |", "|---|---|---|---|---|"]
    for run in json.loads(PROVIDERS.read_text(encoding="utf-8"))["runs"]:
        policy = run["policy"].removeprefix("avoiding_").removesuffix(".onnx")
        provider = f"{run['provider']}, as a graph" if run["cuda_graph"] else run["provider"]
        times = f"{run['open_s']:.2f} | {1e3 * run['first_s']:.1f} | {1e6 * run['median_s']:.0f}"
        rows.append(f"| {policy} | {provider} | {times} |")
    return "\n".join(rows)


def load_tutorial() -> dict[str, Any]:
    """Read results/your_robot.json: what the commands of docs/your_robot.md found."""
    results: dict[str, Any] = json.loads(TUTORIAL.read_text(encoding="utf-8"))
    return results


def tutorial_ways() -> dict[str, tuple[int, int]]:
    """Return how often each way was taken with success, elbow up and down, of whom."""
    results = load_tutorial()
    up = results["recordings"]["elbow_up"]
    found = {"demonstrations": (up, results["recordings"]["bags"] - up)}
    for name in ("teacher", "student"):
        modes = results[name]["pooled"]["modes"]
        found[name] = (modes["0"], modes["1"])
    ways = results["run"]["modes"]
    return found | {"student, over DDS": (ways["elbow up"], ways["elbow down"])}


def tutorial_table() -> str:
    """Return success and ways of the demonstrations, both policies, and the run over DDS."""
    results = load_tutorial()
    scores = {name: results[name]["pooled"] for name in ("teacher", "student")} | {"student, over DDS": results["run"]}
    rows = ["| | episodes | reached [95 %] | elbow up | elbow down |", "|---|---|---|---|---|"]
    for name, (up, down) in tutorial_ways().items():
        score = scores.get(name)
        ways = f"{up / (up + down):.2f} | {down / (up + down):.2f}"
        if score is None:
            rows.append(f"| {name} | {up + down} | | {ways} |")
            continue
        low, high = score["success_interval"]
        reached = f"{score['successes'] / score['rollouts']:.3f} [{low:.3f}, {high:.3f}]"
        rows.append(f"| {name} | {score['rollouts']} | {reached} | {ways} |")
    return "\n".join(rows)


def tutorial_summary() -> str:
    """Return how long the tutorial and a tick took."""
    results = load_tutorial()
    taken, machine = results["commands"]["taken"], results["commands"]["machine"]
    minutes, cpu = (sum(one[key] for one in taken) / 60 for key in ("seconds", "cpu_s"))
    inference = {node["node"]: node["stages"]["inference"] for node in results["latency"]["nodes"]}
    student, teacher = (
        f"{1e6 * inference[node]['p50']:.0f} µs (p99 {1e6 * inference[node]['p99']:.0f})"
        for node in ("/policy", "/shadow_policy")
    )
    return (
        f"All commands together took {minutes:.1f} minutes on {machine['cores']} cores of {machine['cpu']} that other "
        f"programs used too, {cpu:.1f} minutes of CPU. In the run over DDS, inference took the student {student}, the "
        f"teacher {teacher}."
    )


TABLES = {
    make.__name__: make
    for make in (
        headline,
        quality_table,
        shipped_summary,
        latency_table,
        latency_summary,
        lever_table,
        update_table,
        providers_table,
        tutorial_table,
        tutorial_summary,
    )
}
"""Every text that the pages quote."""


def _nodes(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = results["latency"]["comparison"]
    by_name = {node["node"]: node for node in results["latency"]["nodes"]}
    return {"student": by_name[found["student"]], "teacher": by_name[found["teacher"]]}


def _score(score: dict[str, Any]) -> str:
    def interval(name: str, key: str) -> str:
        low, high = score[f"{name}_interval"]
        return f"{score[key]:.3f} [{low:.3f}, {high:.3f}]"

    success, entropy = interval("success", "success_rate"), interval("entropy", "entropy")
    return f"success {success}, task entropy {entropy}, {score['modes_found']} of 24 routes"


def _micro(stage: dict[str, Any]) -> str:
    return f"{stage['p50'] * 1e6:.0f} ({stage['p99'] * 1e6:.0f})"


if __name__ == "__main__":
    print("\n\n".join(f"{name}\n\n{make()}" for name, make in TABLES.items()))
