"""Compare policies on a simulated robot, on any machine; ends after its episodes."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from vdd_ros import resources
from vdd_ros.errors import ConfigurationError, VddError
from vdd_ros.tasks import SHIPPED_TASK, get_task


def generate_launch_description() -> LaunchDescription:
    """Include compare.launch.py, with all its arguments, and add the simulated robot."""
    compare = PythonLaunchDescriptionSource(str(Path(__file__).with_name("compare.launch.py")))
    simulated = Node(
        package="vdd_ros",
        executable="sim_robot_node",
        name="sim_robot",
        output="screen",
        on_exit=_end,
        parameters=[
            str(resources.path("config/sim_robot.params.yaml")),
            {
                "task": ParameterValue(LaunchConfiguration("task"), value_type=str),
                "robot_file": ParameterValue(LaunchConfiguration("robot"), value_type=str),
                "episodes": ParameterValue(LaunchConfiguration("episodes"), value_type=int),
                "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
            },
        ],
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("task", default_value=SHIPPED_TASK, description="simulated task"),
            DeclareLaunchArgument("robot", default_value="", description="robot file; empty: that of the task"),
            DeclareLaunchArgument("episode_topic", default_value="episode", description="topic of episode numbers"),
            DeclareLaunchArgument("episodes", default_value="10", description="number of episodes"),
            DeclareLaunchArgument("seed", default_value="0", description="seed of the simulation and the policies"),
            OpaqueFunction(function=_check),
            IncludeLaunchDescription(compare),
            simulated,
        ]
    )


def _check(context: LaunchContext) -> None:
    """Choose the robot file; refuse wrong arguments before anything starts, as launch would orphan processes."""
    for name in ("episodes", "seed"):
        try:
            int(context.launch_configurations[name])
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}; give a whole number") from None
    if not context.launch_configurations["robot"]:
        task = get_task(context.launch_configurations["task"])
        context.launch_configurations["robot"] = str(task.get_robot_file())


def _end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """Shut down after the last episode, unless a shutdown is under way; with exit code 1 after an error."""
    if event.returncode:
        raise VddError(f"{event.process_name} ended with exit code {event.returncode}")
    return [] if context.is_shutdown else [Shutdown(reason=f"{event.process_name} ended")]
