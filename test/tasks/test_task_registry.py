"""Tasks by name: listed without importing one, and added by other packages."""

import subprocess
import sys
from pathlib import Path

import pytest
import two_doors
from plugins import installed

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


def test_a_task_of_another_package_without_scene_and_robot_file_says_so(tmp_path: Path) -> None:
    with installed(TASKS, tmp_path, "two-doors", Path(two_doors.__file__).read_text(), "TASK"):
        task = get_task("two-doors")
        with pytest.raises(TaskError, match="no picture of the task 'two-doors'"):
            task.get_scene()
        with pytest.raises(TaskError, match="the task 'two-doors' has no robot file"):
            task.get_robot_file()
