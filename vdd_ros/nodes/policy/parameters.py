"""The parameters of the policy node."""

from dataclasses import dataclass

from vdd_ros.control.commander import FIRST_ACTIONS
from vdd_ros.control.guards import ON_NOVELTY, GuardSettings
from vdd_ros.control.loop import START_GATES
from vdd_ros.errors import ConfigurationError
from vdd_ros.host.realtime import HostSettings
from vdd_ros.nodes.policy.source import ANYWHERE, NOWHERE, Allowed
from vdd_ros.nodes.ros.parameters import parameter
from vdd_ros.policy.onnx_policy import NOISES
from vdd_ros.policy.providers import PROVIDERS, ProviderSettings
from vdd_ros.policy.selection import DEFAULT_SWITCH_RATIO, SELECTIONS

SENDS = ("step", "chunk")
TRIGGERS = ("timer", "observation")
SLOWEST_HZ, FASTEST_HZ = 0.001, 1000.0


@dataclass(frozen=True)
class PolicyParameters:
    """Read when the node is configured; changes are refused after that, until it is unconfigured again.

    `config/policy_node.params.yaml` gives the reason of each value.
    """

    policy_path: str = parameter("", "policy file (.onnx)", path=True)
    next_policy: str = parameter("", "policy file that ~/load_policy loads; may be set at any time", path=True)
    load_policy_from: str = parameter(
        ANYWHERE,
        f"which files ~/load_policy may load: {ANYWHERE}, {NOWHERE}, or those in this folder",
        path=True,
        fixed=True,
    )
    load_policy_sha256: str = parameter(
        "", "SHA-256 digests of the files that ~/load_policy may load; empty: any", fixed=True
    )
    load_timeout_s: float = parameter(300.0, "how long loading a policy file may take as a whole", 0.1, 86400.0)
    memory_limit_mb: float = parameter(
        256.0, "memory that the runs of a policy on the CPU may take; 0: any", 0.0, 1_000_000.0
    )
    swap_timeout_s: float = parameter(10.0, "how long a loaded file may wait for its observations", 0.1, 3600.0)
    robot_file: str = parameter("", "robot file (.yaml): topics, fields and limits of the robot", path=True)
    trigger: str = parameter("timer", f"what a tick follows: {', '.join(TRIGGERS)}")
    rate_hz: float = parameter(0.0, "ticks a second; 0 is the policy's own rate", 0.0, FASTEST_HZ)
    wake_early_s: float = parameter(0.003, "how long before a tick the node wakes and does dry runs; 0: not", 0.0, 0.02)
    enable_control: bool = parameter(True, "false: shadow mode, everything runs and nothing is commanded")
    publish_decisions: bool = parameter(True, "publish what the policy saw and wanted, at every decision")
    expert: str = parameter("sample", f"choice of a mixture's expert: {', '.join(SELECTIONS)}")
    switch_ratio: float = parameter(
        DEFAULT_SWITCH_RATIO, "expert sticky: how much likelier another expert must be to take over", 1.0, 1e6
    )
    noise: str = parameter("mean", f"what a mixture's expert executes: {', '.join(NOISES)}")
    action_steps: int = parameter(1, "actions of each chunk that are executed before the next is asked for", 1, 1000)
    prefetch_ticks: int = parameter(0, "ticks before it is needed that the next chunk is asked for", 0, 1000)
    send: str = parameter("step", f"what a JointTrajectory carries: {', '.join(SENDS)}")
    start_gate: str = parameter("inputs", f"what must have been seen before the first action: {', '.join(START_GATES)}")
    first_action: str = parameter(
        "ramp", f"first command, and after a fail-safe, far from what is measured: {', '.join(FIRST_ACTIONS)}"
    )
    inference_limit_s: float = parameter(
        0.0, "actions later than this after the tick began are not commanded; 0: one period", 0.0, 10.0
    )
    follow_timeout_s: float = parameter(
        1.0, "how long the robot may not follow its commands before nothing is commanded", 0.01, 3600.0
    )
    on_novelty: str = parameter("warn", f"observations outside what was demonstrated: {', '.join(ON_NOVELTY)}")
    novelty_ticks: int = parameter(10, "ticks in a row outside before hold and deactivate act", 1, 1_000_000)
    seed: int = parameter(0, "seed of every random draw, applied at each activation", 0, 2**31 - 1)
    provider: str = parameter("cpu", f"execution provider, refused if not granted: {', '.join(PROVIDERS)}")
    device_id: int = parameter(0, "number of the GPU, with cuda and tensorrt", 0, 255)
    engine_cache: str = parameter("", "folder of TensorRT's engines; empty: in the user's cache directory", path=True)
    fp16: bool = parameter(False, "with tensorrt: compute in half precision where that is faster")
    cuda_graph: bool = parameter(False, "with cuda: replay the launches of all kernels as one")
    intra_op_threads: int = parameter(1, "threads inside an operator", 1, 64)
    inter_op_threads: int = parameter(1, "threads across operators", 1, 64)
    warmup_runs: int = parameter(20, "runs of the policy while configuring", 2, 10_000)
    statistics_window: int = parameter(2000, "ticks over which /diagnostics gives percentiles", 10, 1_000_000)
    statistics_warmup_ticks: int = parameter(20, "first ticks that the percentiles leave out", 0, 1_000_000)
    gc_freeze: bool = parameter(True, "spare Python's garbage collector the objects made before activation")
    fifo_priority: int = parameter(0, "SCHED_FIFO priority of the thread that ticks; 0: the ordinary scheduler", 0, 99)
    cpu_affinity: str = parameter("", "cores that it may run on, such as 2,3; empty: all")
    lock_memory: bool = parameter(False, "no page of the process may be swapped out")
    episode_topic: str = parameter("", "topic of episode numbers (std_msgs/Int64); each starts anew; empty: none")
    autostart: bool = parameter(False, "configure and activate without being asked")

    def __post_init__(self) -> None:
        """Refuse missing files and unknown words; raises ConfigurationError."""
        for name in ("policy_path", "robot_file"):
            if not getattr(self, name):
                raise ConfigurationError(f"parameter {name} is not set; give it, such as -p {name}:=FILE")

        for name, allowed in (("send", SENDS), ("trigger", TRIGGERS), ("start_gate", START_GATES)):
            if getattr(self, name) not in allowed:
                raise ConfigurationError(
                    f"parameter {name} is {getattr(self, name)!r}; use one of {', '.join(allowed)}"
                )

    def allowed(self) -> Allowed:
        """Return which files `~/load_policy` may load; raises ConfigurationError."""
        return Allowed(self.load_policy_from, self.load_policy_sha256)

    def host(self) -> HostSettings:
        """Return what is asked of the host; raises ConfigurationError."""
        return HostSettings(self.fifo_priority, self.cpu_affinity, self.lock_memory)

    def provider_settings(self) -> ProviderSettings:
        """Return what is asked of ONNX Runtime; raises ConfigurationError."""
        return ProviderSettings(self.provider, self.device_id, self.engine_cache, self.fp16, self.cuda_graph)

    def guards(self) -> GuardSettings:
        """Return the settings of the guards; raises ConfigurationError."""
        return GuardSettings(
            self.first_action, self.inference_limit_s, self.on_novelty, self.novelty_ticks, self.follow_timeout_s
        )
