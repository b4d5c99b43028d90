"""Run a policy on a robot; optionally beside others in shadow mode, and with a recorder."""

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.events.process import ProcessExited, ProcessIO
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from vdd_ros import resources
from vdd_ros.data.latency_bag import NODE_TOPICS
from vdd_ros.policy.robot import RobotFile

OTHER = {"student": "teacher", "teacher": "student"}
SHIPPED = {name: f"models/avoiding_{name}.onnx" for name in OTHER}
RECORDER_READY = b"ready: every topic is subscribed"


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; `ros2 launch --show-args` prints them."""
    robot = str(resources.path("config/robots/avoiding.yaml"))
    params = str(resources.path("config/policy_node.params.yaml"))
    switch = {"choices": ["true", "false"]}
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", default_value="student", description="student, teacher or a policy file"),
            DeclareLaunchArgument(
                "compare_with",
                default_value="",
                description="policies that shadow the first, separated by commas: student, teacher, policy files, or "
                "`other`",
            ),
            DeclareLaunchArgument("robot", default_value=robot, description="robot file"),
            DeclareLaunchArgument("record", default_value="", description="new directory for a bag; empty: none"),
            DeclareLaunchArgument("episode_topic", default_value="", description="episode numbers; empty: none"),
            DeclareLaunchArgument("shadow", default_value="false", description="true: command nothing", **switch),
            DeclareLaunchArgument("activate", default_value="true", description="false: only configure", **switch),
            DeclareLaunchArgument("params_file", default_value=params, description="parameters of the policy nodes"),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="follow /clock", **switch),
            OpaqueFunction(function=_start),
        ]
    )


def _start(context: LaunchContext) -> list[Action]:
    given = context.launch_configurations
    shadow = given["shadow"] == "true"
    nodes = {"policy": _policy_node(given, "policy", given["policy"], enable_control=not shadow)}
    for name, other in _shadows(given).items():
        nodes[name] = _policy_node(given, name, other, enable_control=False)

    actions: list[Action] = []
    wanted = given["activate"] == "true"
    if given["record"]:
        recorder = _recorder(given, [f"{name}/{topic}" for name in nodes for topic in NODE_TOPICS], shadow)
        activate = [_change(node, Transition.TRANSITION_ACTIVATE) for node in nodes.values()] if wanted else []
        actions = [RegisterEventHandler(_once_ready(recorder, activate)), recorder]
    for node in nodes.values():
        failed = OnStateTransition(
            target_lifecycle_node=node,
            start_state="configuring",
            goal_state="unconfigured",
            entities=[Shutdown(reason="a policy could not be configured")],
        )
        actions += [RegisterEventHandler(failed), node]
        if wanted and not given["record"]:
            activate = [_change(node, Transition.TRANSITION_ACTIVATE)]
            ready = OnStateTransition(
                target_lifecycle_node=node,
                start_state="configuring",
                goal_state="inactive",
                entities=activate,
                handle_once=True,
            )
            actions.append(RegisterEventHandler(ready))
        actions.append(_change(node, Transition.TRANSITION_CONFIGURE))
    return actions


def _shadows(given: dict[str, str]) -> dict[str, str]:
    """Return node to policy of those that shadow: shadow_policy, shadow_policy_2 and so on."""
    others = [word.strip() for word in given["compare_with"].split(",") if word.strip()]
    other = OTHER.get(given["policy"], "teacher")
    return {
        "shadow_policy" if number == 1 else f"shadow_policy_{number}": other if policy == "other" else policy
        for number, policy in enumerate(others, start=1)
    }


def _policy_node(given: dict[str, str], name: str, policy: str, *, enable_control: bool) -> LifecycleNode:
    return LifecycleNode(
        package="vdd_ros",
        executable="policy_node",
        name=name,
        namespace="",
        output="screen",
        on_exit=_end,
        parameters=[
            given["params_file"],
            {
                "policy_path": str(resources.path(SHIPPED[policy])) if policy in SHIPPED else policy,
                "robot_file": given["robot"],
                "enable_control": enable_control,
                "episode_topic": given["episode_topic"],
                "use_sim_time": given["use_sim_time"] == "true",
            },
        ],
    )


def _recorder(given: dict[str, str], topics: list[str], shadow: bool) -> Node:
    robot = RobotFile.load(given["robot"])
    on_robot = [source.topic for source in robot.inputs] + ([] if shadow else [robot.command.topic])
    episodes = [given["episode_topic"]] if given["episode_topic"] else []
    return Node(
        package="vdd_ros",
        executable="bag_recorder",
        name="bag_recorder",
        output="screen",
        on_exit=_end,
        parameters=[{"output": given["record"], "topics": on_robot + episodes + topics}],
    )


def _once_ready(recorder: Node, actions: list[Action]) -> OnProcessIO:
    """Start the actions once the recorder has subscribed to everything, so that no record is lost."""
    pending = list(actions)

    def act(event: ProcessIO) -> list[Action]:
        if RECORDER_READY not in event.text:
            return []
        taken = pending[:]
        pending.clear()
        return taken

    return OnProcessIO(target_action=recorder, on_stdout=act, on_stderr=act)


def _end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End everything, unless it is ending already: launch does not bear being told twice."""
    return [] if context.is_shutdown else [Shutdown(reason=f"{event.process_name} ended")]


def _change(node: LifecycleNode, transition: int) -> EmitEvent:
    return EmitEvent(event=ChangeState(lifecycle_node_matcher=lambda action: action is node, transition_id=transition))
