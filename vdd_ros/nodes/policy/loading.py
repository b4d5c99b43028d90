"""From a node's parameters to a loaded, checked and warmed-up policy with its description."""

from dataclasses import dataclass
from time import perf_counter

from rclpy.logging import get_logger

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.errors import ConfigurationError
from vdd_ros.nodes.policy.fitness import MemoryCheck, judge_speed
from vdd_ros.nodes.policy.info import PolicyInfo, policy_info
from vdd_ros.nodes.policy.parameters import FASTEST_HZ, SLOWEST_HZ, PolicyParameters
from vdd_ros.nodes.policy.source import Allowed
from vdd_ros.nodes.ros.schemas import message_format
from vdd_ros.policy import trial
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.robot.transforms import TransformBuffer
from vdd_ros.text import counted


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy, ready to act.

    Attributes:
        active: The policy and what belongs to it.
        info: Content of `~/policy_info`.
        inference_s: Median duration of an inference, in seconds.
    """

    active: ActivePolicy
    info: PolicyInfo
    inference_s: float


def load(
    path: str,
    robot: RobotFile,
    parameters: PolicyParameters,
    name: str,
    rate_hz: float | None = None,
    allowed: Allowed | None = None,
    transforms: TransformBuffer | None = None,
) -> LoadedPolicy:
    """Load a policy file for a robot.

    Args:
        path: The policy file.
        robot: The robot file.
        parameters: Parameters of the node.
        name: Name of the node.
        rate_hz: Present tick rate of the node; by default that of the parameters or the file.
        allowed: Files that may be loaded; by default any.
        transforms: Transforms between frames, if the robot file names any.

    Raises:
        VddError: The file is not allowed or not a policy file, does not fit the robot or the parameters, has another or
            an impossible rate, or is too slow or too large for this host.
    """
    began = perf_counter()
    file = (allowed or Allowed()).read(path)
    provider = parameters.provider_settings()
    built: list[str] = []
    if trial.opening_stops_python():
        built = trial.try_to_open(
            file,
            provider,
            parameters.load_timeout_s,
            intra_op_threads=parameters.intra_op_threads,
            inter_op_threads=parameters.inter_op_threads,
        )
    policy = OnnxPolicy.load(
        file,
        provider=provider,
        expert=parameters.expert,
        switch_ratio=parameters.switch_ratio,
        noise=parameters.noise,
        seed=parameters.seed,
        intra_op_threads=parameters.intra_op_threads,
        inter_op_threads=parameters.inter_op_threads,
    )
    own_hz = parameters.rate_hz or policy.spec.rate_hz
    if not SLOWEST_HZ <= own_hz <= FASTEST_HZ:
        raise ConfigurationError(
            f"{own_hz:.6g} ticks per second are not possible; set rate_hz between {SLOWEST_HZ:g} and {FASTEST_HZ:g}"
        )
    if rate_hz is not None and abs(own_hz - rate_hz) > 1e-6 * rate_hz:
        raise ConfigurationError(
            f"{path} was made for {own_hz:.6g} Hz, but the node ticks at {rate_hz:.6g} Hz; set rate_hz, or configure "
            "the node with this file"
        )
    memory = MemoryCheck(parameters)
    warm_up = policy.warm_up(parameters.warmup_runs)
    memory.judge(path, policy)
    judge_speed(path, warm_up, parameters, 1.0 / own_hz, policy.warm_up)
    active = ActivePolicy.of(
        policy,
        robot,
        period_s=1.0 / own_hz,
        guards=parameters.guards(),
        action_steps=parameters.action_steps,
        prefetch_ticks=parameters.prefetch_ticks,
        formats=message_format,
        transforms=transforms,
    )
    _warn_of_building(policy, built + policy.engines_built, path, name, perf_counter() - began)
    info = policy_info(name, path, policy.sha256, policy, parameters, own_hz, warm_up)
    return LoadedPolicy(active, info, warm_up.median_s)


def _warn_of_building(policy: OnnxPolicy, built: list[str], path: str, name: str, took_s: float) -> None:
    """Warn that TensorRT's engines had to be built at run time."""
    if built:
        get_logger(name.strip("/").replace("/", ".")).warning(
            f"TensorRT had to build {counted(len(built), 'engine')} for {path}, which took {took_s:.0f} s; "
            f"they are stored in {policy.engine_folder}. "
            f"Next time build them in advance with `vdd prebuild {path} --provider tensorrt`"
        )
