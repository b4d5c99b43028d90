"""The examples of docs/extending.md: each is installed as a package, conforms, and goes through its commands."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from arm_rig import arm_document
from checkout import CHECKOUT
from plugins import install
from robot_messages import empty_message

from vdd_ros.cli.main import main
from vdd_ros.data.formats import FORMATS
from vdd_ros.errors import ConformanceError, RobotFileError
from vdd_ros.registry import Registry
from vdd_ros.robot.messages import MESSAGES
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.tasks import get_task
from vdd_ros.tasks.registry import TASKS
from vdd_ros.testing.formats import check_format
from vdd_ros.testing.messages import check_message
from vdd_ros.testing.tasks import check_task

PAGE = (CHECKOUT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"""```toml
\[project\.entry-points\."(?P<group>[\w.]+)"\]
"?(?P<name>[\w/]+)"? = "(?P<module>\w+):(?P<attribute>\w+)"
```

```python
(?P<source>.*?)```""",
    re.DOTALL,
)
TINY = ["--backbone", "mlp", "--batch", "8", "--width", "8", "--layers", "1", "--octaves", "1", "--steps", "2"]


def examples() -> list[tuple[str, str, str, str, str]]:
    """Return entry-point group, name, module, attribute and source of each example."""
    return EXAMPLE.findall(PAGE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Install the examples; returns group to name, of the first example of the group."""
    folder, found = tmp_path_factory.mktemp("site"), examples()
    registries: list[Registry[Any]] = [TASKS, FORMATS, MESSAGES]
    for group, name, module, attribute, source in found:
        install(folder, module, group, {name: f"{module}:{attribute}"}, source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for registry in registries:
            registry.forget()
        yield {group: name for group, name, *_ in reversed(found)}
    for _, _, module, *_ in found:
        sys.modules.pop(module, None)
    for registry in registries:
        registry.forget()


@pytest.fixture
def learning(installed: dict[str, Any]) -> Iterator[None]:
    """Let the registries of methods and teachers see the examples."""
    pytest.importorskip("torch")
    from vdd_ros.learning.diffusion.teachers import TEACHERS
    from vdd_ros.learning.methods.registry import METHODS

    registries: list[Registry[Any]] = [METHODS, TEACHERS]
    for registry in registries:
        registry.forget()
    yield
    for registry in registries:
        registry.forget()


def table(path: Path) -> Path:
    """Write three demonstrations as the format's example reads them."""
    made = get_task("avoiding").demonstrate(3, 0, lambda: None)
    number = np.repeat(np.arange(3), made.lengths)[:, None]
    np.savetxt(path, np.hstack([number, made.observation, made.action]), delimiter=",", fmt="%.17g")
    return path


def test_every_group_of_the_design_has_an_example() -> None:
    design = (CHECKOUT / "docs" / "design.md").read_text(encoding="utf-8")
    groups = set(re.findall(r"^\| `(vdd_ros\.\w+)` \| `vdd_ros\.", design, flags=re.MULTILINE))
    assert len(groups) == 6
    assert {group for group, *_ in examples()} == groups


def test_the_task_conforms(installed: dict[str, Any]) -> None:
    check_task(TASKS.get(installed["vdd_ros.tasks"]))


def test_the_format_conforms(installed: dict[str, Any], tmp_path: Path) -> None:
    check_format(FORMATS.get(installed["vdd_ros.formats"]), tmp_path, table(tmp_path / "sample.csv"))


def test_the_message_conforms(installed: dict[str, Any]) -> None:
    message = MESSAGES.get(installed["vdd_ros.messages"])
    check_message(message, empty_message)
    assert message.stamped


def test_the_action_conforms_and_a_robot_file_names_it(installed: dict[str, Any]) -> None:
    kind = "franka_msgs/action/Grasp"
    assert kind in {name for _, name, *_ in examples()}

    def goal(_: str) -> Any:
        epsilon = SimpleNamespace(inner=0.0, outer=0.0)
        return SimpleNamespace(width=0.0, epsilon=epsilon, speed=0.0, force=0.0)

    check_message(MESSAGES.get(kind), goal)
    document = arm_document()
    width, limits = document["command"]["entries"][0], {"unit": "m", "low": 0.0, "high": 0.08}
    fixed = {"epsilon.inner": (0.01, "m"), "epsilon.outer": (0.01, "m"), "speed": (0.1, "m/s"), "force": (30.0, "N")}
    entries = [{"name": name, "fixed": value, "unit": unit} for name, (value, unit) in fixed.items()]
    del width["measured"]
    document["command"] |= {"type": kind, "topic": "franka_gripper/grasp", "entries": entries}
    with pytest.raises(RobotFileError, match="so give these too: width"):
        RobotFile.from_dict(document)
    entries.append(width | limits | {"name": "width"})
    assert RobotFile.from_dict(document).commands[0].message.is_action


@pytest.mark.train
def test_the_method_and_the_teacher_conform(learning: None, installed: dict[str, Any]) -> None:
    from vdd_ros.learning.diffusion.teachers import TEACHERS
    from vdd_ros.learning.methods.registry import METHODS
    from vdd_ros.testing.methods import check_method, check_teacher

    check_method(METHODS.get(installed["vdd_ros.methods"]))
    check_teacher(TEACHERS.get(installed["vdd_ros.teachers"]))


@pytest.mark.train
def test_the_importer_conforms(installed: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from my_arrays import NETWORK  # type: ignore[import-not-found]

    from vdd_ros.learning.diffusion.teacher import Teacher, TeacherConfig
    from vdd_ros.learning.importing.registry import IMPORTERS, ImportRequest
    from vdd_ros.testing.importers import check_importer

    network = Teacher(TeacherConfig(kind="ddpm-sample", obs_dim=4, act_dim=2, **NETWORK)).network
    weights = {name: value.numpy() for name, value in network.state_dict().items()}  # type: ignore[attr-defined]
    np.savez(tmp_path / "weights.npz", **weights)
    made = get_task("avoiding").demonstrate(3, 0, lambda: None)
    IMPORTERS.forget()
    importer = IMPORTERS.get(installed["vdd_ros.importers"])
    request = ImportRequest(checkpoint=tmp_path / "weights.npz", demonstrations=made)
    check_importer(importer, request)
    (tmp_path / "weights.npz").write_bytes(b"nothing")
    with pytest.raises(ConformanceError, match=r"the import fails: CheckpointError: weights\.npz cannot be read"):
        check_importer(importer, request)
    IMPORTERS.forget()


@pytest.mark.train
def test_they_go_from_demonstrations_to_the_score(learning: None, tmp_path: Path) -> None:
    demos, teacher, student = (str(tmp_path / name) for name in ("D", "T", "S"))
    assert main(["demos", "rail", "--out", demos]) == 0
    assert main(["train", "--task", "rail", "--demos", demos, "--teacher", "root", "--out", teacher, *TINY]) == 0
    assert main(["distil", "--method", "cloning", "--preset", "tiny", "--teacher", teacher, "--out", student]) == 0
    assert main(["export", student, "--out", f"{student}.onnx", "--no-novelty"]) == 0
    assert main(["evaluate", f"{student}.onnx", "--rollouts", "8"]) == 0


@pytest.mark.train
def test_a_teacher_learns_from_the_format(learning: None, tmp_path: Path) -> None:
    file = table(tmp_path / "mine.csv")
    train = ["train", "--task", "avoiding", "--demos", str(file), "--out", str(tmp_path / "T"), *TINY]
    assert main(train) == 0
