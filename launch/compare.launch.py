"""Compare policies on one robot: one commands, the others shadow the same observations, all are recorded."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def generate_launch_description() -> LaunchDescription:
    """Include policy.launch.py, with all its arguments, under two other defaults."""
    policy = PythonLaunchDescriptionSource(str(Path(__file__).with_name("policy.launch.py")))
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "compare_with",
                default_value="other",
                description="shadow policies, separated by commas: student, teacher, policy files, or `other`: the "
                "teacher beside the student or a file, the student beside the teacher",
            ),
            DeclareLaunchArgument("record", default_value="latency_bag", description="new directory for the bag"),
            IncludeLaunchDescription(policy),
        ]
    )
