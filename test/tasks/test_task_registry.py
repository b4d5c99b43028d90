"""Tasks by name: listed without importing one, and added by other packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from vdd_ros.errors import TaskError
from vdd_ros.tasks import get_task
from vdd_ros.tasks.registry import TASKS


def imported_after(statement: str) -> set[str]:
    """Return the modules of vdd_ros.tasks that a fresh interpreter has imported after a statement."""
    program = f"import sys\n{statement}\nprint(*(name for name in sys.modules if name.startswith('vdd_ros.tasks')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_listing_the_tasks_imports_none_and_getting_one_draws_nothing() -> None:
    assert "vdd_ros.tasks.avoiding" not in imported_after("from vdd_ros.tasks import task_names; task_names()")
    after = imported_after("from vdd_ros.tasks import get_task; get_task('avoiding')")
    assert "vdd_ros.tasks.avoiding.sim" in after
    assert "vdd_ros.tasks.avoiding.scene" not in after


def test_every_task_bears_its_name_and_has_what_it_says() -> None:
    for name in TASKS.names():
        assert get_task(name).spec.name == name
    assert get_task("avoiding").get_robot_file().name == "avoiding.yaml"


def test_a_task_of_another_package_without_scene_and_robot_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "bare_task-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bare_task\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[vdd_ros.tasks]\nbare = bare_task:TASK\n")
    (tmp_path / "bare_task.py").write_text(
        "import dataclasses\n"
        "from vdd_ros.tasks import Task\n"
        "from vdd_ros.tasks.avoiding.sim import SPEC, AvoidingSim\n"
        "TASK = Task(dataclasses.replace(SPEC, name='bare'), AvoidingSim, print, 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(TASKS.__dict__, "_others", raising=False)
    try:
        task = get_task("bare")
        with pytest.raises(TaskError, match="no picture of the task 'bare'"):
            task.get_scene()
        with pytest.raises(TaskError, match="the task 'bare' has no robot file"):
            task.get_robot_file()
    finally:
        TASKS.__dict__.pop("_others", None)
        TASKS._loaded.pop("bare", None)
