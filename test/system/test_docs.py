"""Every command that README.md and docs/ show is tested: `vdd` is run, the others are held against what exists.

So are the names, paths and options that they mention.

A command is a line of a fenced block marked bash, sh or console. A program that CHECKS does not know fails. `vdd` runs
in this process; that an installation has it as a program is shown in test_packaging.py.
"""

import argparse
import ast
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from checkout import CHECKOUT, setup_arguments
from doc_commands import Command, commands
from lerobot_policies import Policy, demonstrations

from vdd_ros.cli.main import COMMANDS, main

PAGES = [page for page in [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))] if page.exists()]
SHIPPED = ("config", "models", "results")

# Arguments that make a documented command, or one with this option, small enough for a test; others stay as documented.
NETWORK = ["--backbone", "mlp", "--width", "16", "--layers", "1", "--steps", "5", "--batch", "64"]
SMALLER = {
    "demos avoiding": ["--episodes", "12"],
    "demos pushing": ["--episodes", "8"],
    "demos block_push": ["--episodes", "8"],
    "demos aligning": ["--episodes", "8"],
    "demos stacking": ["--episodes", "6"],
    "demos kitchen": ["--episodes", "2"],
    "train": NETWORK,
    "distil": NETWORK,
    "evaluate": ["--rollouts", "8"],
    "benchmark tasks": ["--tasks", "avoiding", "example_arm", "--rounds", "1"],
    "fidelity": ["--states", "8", "--samples", "64"],
    "novelty": ["--rollouts", "8"],
    "demo": ["--episodes", "1", "--speed", "3"],
    "demo_cold": ["--episodes", "1"],
    "--repeats": ["--repeats", "1", "--episodes", "1"],
}
# Commands that take minutes of real time: parsed beside the others, run alone. Those that read what these write too.
SLOW = ("demo_cold", "--repeats", "demo_repeats/bag", "realtime")


def unfenced(text: str) -> list[str]:
    """Find commands in indented blocks, which `commands` would miss."""
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"^ {4,}(?:\$ )?(?:vdd|make|ros2|colcon|pip) .*$", outside, flags=re.MULTILINE)


def check_make(words: tuple[str, ...]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {word for word in words[1:] if "=" not in word} <= targets


def check_pip(words: tuple[str, ...]) -> None:
    extras = setup_arguments()["extras_require"]
    for name in re.findall(r"(?:^|\s)(?:\.|vdd_ros)\[([\w,-]+)\]", " ".join(words)):
        assert set(name.split(",")) <= set(extras)
    for option, value in pairwise(words):
        if option in ("-c", "--constraint"):
            assert (CHECKOUT / value).is_file()


def check_ros2(words: tuple[str, ...]) -> None:
    verb = words[1:3]
    if verb == ("launch", "vdd_ros"):
        file = CHECKOUT / "launch" / words[3]
        given = {word.partition(":=")[0] for word in words[4:]}
        assert given <= launch_arguments(file), file
    elif verb == ("run", "vdd_ros"):
        points = setup_arguments()["entry_points"]
        assert words[3] in {script.partition(" =")[0] for script in points["console_scripts"]}
    else:
        assert verb in {
            ("bag", "info"),
            ("bag", "play"),
            ("lifecycle", "set"),
            ("lifecycle", "get"),
            ("topic", "echo"),
            ("security", "generate_artifacts"),
        }


def launch_arguments(file: Path) -> set[str]:
    """List the arguments that a launch file and those that it includes declare."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "DeclareLaunchArgument"]
    declared = {str(call.args[0].value) for call in calls if isinstance(call.args[0], ast.Constant)}
    names = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
    included = [file.with_name(name) for name in names if re.fullmatch(r"\w+\.launch\.py", name)]
    return declared.union(*map(launch_arguments, included))


def check_vdd(words: tuple[str, ...]) -> None:
    assert words[1] in COMMANDS or words[1].startswith("--")


def not_ours(words: tuple[str, ...]) -> None:
    """Commands of the system, which no test of this package can hold against anything."""


CHECKS: dict[str, Callable[[tuple[str, ...]], None]] = {
    "cd": not_ours,
    "export": not_ours,
    "colcon": not_ours,
    "git": not_ours,
    "make": check_make,
    "mkdir": not_ours,
    "pip": check_pip,
    "python3": not_ours,
    "ros2": check_ros2,
    "rosdep": not_ours,
    "source": not_ours,
    "touch": not_ours,
    "vdd": check_vdd,
}
SHOWN = [command for page in PAGES for command in commands(page.read_text(), page.name)]
# `make demo` is `vdd demo` after the setting up; what is shown twice runs once.
RUN_AS: dict[tuple[str, ...], tuple[str, ...]] = {("make", "demo"): ("vdd", "demo")}
# What a launch on a robot records; the demo's bag has the same topics.
STANDS_FOR = {"latency_bag": "demo_out/bag"}
TO_RUN = list(dict.fromkeys(words for c in SHOWN if (words := RUN_AS.get(c.words, c.words))[0] == "vdd"))
# The tutorial is one story, which test_your_robot.py tells from its beginning to its end.
ELSEWHERE = {command.words for command in SHOWN if command.page == "your_robot.md"}


@pytest.mark.parametrize("command", SHOWN, ids=str)
def test_a_shown_command_exists(command: Command) -> None:
    program = command.words[0]
    assert program in CHECKS, f"{command}: say in CHECKS how `{program}` is tested"
    CHECKS[program](command.words)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder in which the commands run one after the other, with the shipped files as in a checkout.

    Policies of LeRobot and diffusion_policy and their data are there too.
    """
    folder = tmp_path_factory.mktemp("docs")
    for name in SHIPPED:
        shutil.copytree(CHECKOUT / name, folder / name)
    policy = Policy.drawn()
    policy.write(folder / "pretrained_model")
    demonstrations(policy).save(folder / "lerobot_data")
    if find_spec("torch") is not None:
        import diffusion_policies

        other = diffusion_policies.Policy.drawn(ddim=True)
        other.write(folder / "latest.ckpt")
        diffusion_policies.demonstrations(other).save(folder / "pusht_demos")
    return folder


def arguments(words: tuple[str, ...]) -> list[str]:
    """Return the arguments of `vdd` as they are tested."""
    known = [*words[1:], " ".join(words[1:3])]
    more = (option for word in known for option in SMALLER.get(word, []))
    return [*(STANDS_FOR.get(word, word) for word in words[1:]), *more]


def run(words: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command; a demo has done its work also where policies fail, which is for test_demo.py to judge."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ROS_LOG_DIR", str(folder / "ros_log"))
    try:
        code = main(arguments(words))
    except SystemExit as end:  # as argparse ends --version
        code = int(end.code or 0)
    assert code in ((0, 1) if words[1] == "demo" else (0,))


@pytest.mark.parametrize(
    "words", [words for words in TO_RUN if not set(SLOW) & set(words) and words not in ELSEWHERE], ids=shlex.join
)
def test_a_shown_vdd_command_runs(words: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(words, workplace, monkeypatch)


@pytest.mark.timing
@pytest.mark.parametrize("words", [words for words in TO_RUN if set(SLOW) & set(words)], ids=shlex.join)
def test_a_slow_command_runs(words: tuple[str, ...], workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(words, workplace, monkeypatch)


@pytest.mark.parametrize("words", TO_RUN, ids=shlex.join)
def test_a_shown_vdd_command_is_parsed(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    if words[1].startswith("--"):
        pytest.skip("options of `vdd` itself end it while they are parsed")
    given: list[argparse.Namespace] = []

    def take(parsed: argparse.Namespace) -> int:
        given.append(parsed)
        return 0

    monkeypatch.setattr(f"vdd_ros.cli.{words[1]}.run", take)
    assert main(list(words[1:])) == 0
    assert len(given) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_fenced_blocks(page: Path) -> None:
    assert unfenced(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_and_headings_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target, heading in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", text):
        file = (page.parent / target) if target else page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
# Options of other programs than `vdd`.
FOREIGN_OPTIONS = {"--head", "--nproc-per-node", "--ros-args", "--services"}
ENTRY_POINT_GROUPS = {
    f"vdd_ros.{name}" for name in ("formats", "importers", "messages", "methods", "tasks", "teachers")
}


def exists(name: str) -> bool:
    """Return whether a dotted name is a module or an attribute of one."""
    module, _, attribute = name.rpartition(".")
    try:
        return find_spec(name) is not None or hasattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is not None and not error.name.startswith("vdd_ros"):
            pytest.skip(f"{error.name} is not installed")
        return hasattr(import_module(module), attribute)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mentioned_modules_classes_and_functions_exist(page: Path) -> None:
    text = page.read_text()
    imported = {
        f"{node.module}.{name.name}"
        for block in PYTHON.findall(text)
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("vdd_ros")
        for name in node.names
    }
    mentioned = set(re.findall(r"`(vdd_ros(?:\.\w+)+)", text)) - ENTRY_POINT_GROUPS
    assert {name for name in imported | mentioned if not exists(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mentioned_paths_exist(page: Path) -> None:
    folders = "vdd_ros|test|config|findings|results|launch|models|docs"
    found = set(re.findall(rf"`((?:{folders})/[\w./*-]+)`", page.read_text()))
    assert {path for path in found if "NAME" not in path and not list(CHECKOUT.glob(path))} == set()


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its sub-commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from options(sub)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mentioned_options_exist(page: Path) -> None:
    known = {"--help", "--version"} | FOREIGN_OPTIONS
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        import_module(f"vdd_ros.cli.{name}").add_arguments(parser)
        known |= set(options(parser))
    outside = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    mentioned = {
        option for code in re.findall(r"`([^`\n]+)`", outside) for option in re.findall(r"--[a-z][\w-]+", code)
    }
    assert mentioned - known == set()


def test_comments_continuations_chains_and_output_are_distinguished() -> None:
    text = "\n".join(
        [
            *(
                "```bash",
                "# a comment",
                "SEED=1 vdd demos avoiding \\",
                "    --out D   # where to",
                "make a && make b",
                "```",
            ),
            *("```console", "$ vdd demo", "an output line", "```", "```python", "vdd = 1", "```"),
        ]
    )
    found = [command.words for command in commands(text, "page")]
    assert found == [("vdd", "demos", "avoiding", "--out", "D"), ("make", "a"), ("make", "b"), ("vdd", "demo")]


@pytest.mark.parametrize(
    "line",
    [
        "vdd no-such-command",
        "make no-such-target",
        "pip install '.[no-such-extra]'",
        "pip install -c no-such-file .",
        "ros2 run vdd_ros no_such_node",
        "ros2 no such-verb",
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    words = tuple(shlex.split(line))
    with pytest.raises(AssertionError):
        CHECKS[words[0]](words)


def test_an_argument_of_an_included_launch_file_counts(tmp_path: Path) -> None:
    (tmp_path / "inner.launch.py").write_text("[DeclareLaunchArgument('policy', default_value='student')]")
    outer = tmp_path / "outer.launch.py"
    outer.write_text("[DeclareLaunchArgument('seed'), include(here / 'inner.launch.py')]")
    assert launch_arguments(outer) == {"policy", "seed"}


def test_an_undeclared_launch_argument_is_noticed() -> None:
    with pytest.raises(AssertionError):
        check_ros2(("ros2", "launch", "vdd_ros", "demo.launch.py", "no_such_argument:=1"))


def test_an_indented_command_is_noticed() -> None:
    assert unfenced("Run\n\n    vdd demo --out D\n") == ["    vdd demo --out D"]
