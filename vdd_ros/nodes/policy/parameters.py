"""The parameters of the policy node."""

from dataclasses import dataclass

from vdd_ros.control.commander import FIRST_ACTIONS
from vdd_ros.control.guards import ON_NOVELTY, GuardSettings
from vdd_ros.control.loop import START_GATES
from vdd_ros.errors import ConfigurationError
from vdd_ros.host.realtime import HostSettings
from vdd_ros.nodes.policy.robot_side import UNREACHABLE
from vdd_ros.nodes.policy.source import ANYWHERE, NOWHERE, Allowed
from vdd_ros.nodes.ros.parameters import parameter
from vdd_ros.policy.onnx_policy import NOISES
from vdd_ros.policy.providers import PROVIDERS, ProviderSettings
from vdd_ros.policy.selection import DEFAULT_SWITCH_RATIO, SELECTIONS
from vdd_ros.robot.commands import SENDS
from vdd_ros.robot.names import topic_problem
from vdd_ros.text import printable

TRIGGERS = ("timer", "observation")
SLOWEST_HZ, FASTEST_HZ = 0.001, 1000.0


@dataclass(frozen=True)
class PolicyParameters:
    """Parameters read when the node is configured; later changes are refused until it is unconfigured again.

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
    load_timeout_s: float = parameter(300.0, "time limit for loading a policy file", 0.1, 86400.0)
    memory_limit_mb: float = parameter(256.0, "memory limit for a policy's runs on the CPU; 0: none", 0.0, 1_000_000.0)
    swap_timeout_s: float = parameter(10.0, "time limit for a loaded file to receive its observations", 0.1, 3600.0)
    robot_file: str = parameter("", "robot file (.yaml): topics, fields and limits of the robot", path=True)
    trigger: str = parameter("timer", f"what triggers a tick: {', '.join(TRIGGERS)}")
    rate_hz: float = parameter(0.0, "ticks per second; 0: the policy's own rate", 0.0, FASTEST_HZ)
    wake_early_s: float = parameter(0.003, "how early the node wakes before a tick, for dry runs; 0: off", 0.0, 0.02)
    enable_control: bool = parameter(True, "false: shadow mode, everything runs without commands")
    publish_decisions: bool = parameter(True, "publish the policy's observation and action, per inference")
    expert: str = parameter("sample", f"how a mixture chooses its expert: {', '.join(SELECTIONS)}")
    switch_ratio: float = parameter(
        DEFAULT_SWITCH_RATIO, "expert sticky: how much likelier another expert must be to take over", 1.0, 1e6
    )
    noise: str = parameter("mean", f"what a mixture's expert executes: {', '.join(NOISES)}")
    action_steps: int = parameter(1, "actions of each chunk to execute before the next request", 1, 1000)
    prefetch_ticks: int = parameter(0, "how many ticks ahead the next chunk is requested", 0, 1000)
    send: str = parameter("step", f"content of a command if the robot file does not set it: {', '.join(SENDS)}")
    robot_timeout_s: float = parameter(
        5.0, "longest wait during configuration for the robot's description and its controllers' parameters", 0.1, 600.0
    )
    unreachable_controller: str = parameter(
        "refuse", f"reaction to a controller that does not report its joints: {', '.join(UNREACHABLE)}"
    )
    start_gate: str = parameter("inputs", f"required before the first action: {', '.join(START_GATES)}")
    first_action: str = parameter(
        "ramp", f"first command, also after a fail-safe, if far from the measured position: {', '.join(FIRST_ACTIONS)}"
    )
    inference_limit_s: float = parameter(
        0.0, "actions later than this, from the start of their tick, are dropped; 0: one period", 0.0, 10.0
    )
    follow_timeout_s: float = parameter(
        1.0, "time for which a robot may fail to follow before the fail-safe", 0.01, 3600.0
    )
    on_novelty: str = parameter("warn", f"out-of-distribution observations: {', '.join(ON_NOVELTY)}")
    novelty_ticks: int = parameter(10, "consecutive novel ticks before hold and deactivate act", 1, 1_000_000)
    seed: int = parameter(0, "seed of every random draw, applied at each activation", 0, 2**31 - 1)
    provider: str = parameter("cpu", f"execution provider, refused if not available: {', '.join(PROVIDERS)}")
    device_id: int = parameter(0, "index of the GPU, with cuda and tensorrt", 0, 255)
    engine_cache: str = parameter("", "folder of TensorRT's engines; empty: in the user's cache directory", path=True)
    fp16: bool = parameter(False, "with tensorrt: half precision if that is faster")
    cuda_graph: bool = parameter(False, "with cuda: replay all kernel launches as one")
    intra_op_threads: int = parameter(1, "threads inside an operator", 1, 64)
    inter_op_threads: int = parameter(1, "threads across operators", 1, 64)
    warmup_runs: int = parameter(20, "warm-up runs during configuration", 2, 10_000)
    statistics_window: int = parameter(2000, "ticks in the percentiles of /diagnostics", 10, 1_000_000)
    statistics_warmup_ticks: int = parameter(20, "first ticks, excluded from the percentiles", 0, 1_000_000)
    gc_freeze: bool = parameter(True, "exclude objects made before activation from garbage collection")
    fifo_priority: int = parameter(0, "SCHED_FIFO priority of the ticking thread; 0: the ordinary scheduler", 0, 99)
    cpu_affinity: str = parameter("", "cores of the ticking thread, such as 2,3; empty: all")
    lock_memory: bool = parameter(False, "lock the process's pages in memory")
    episode_topic: str = parameter(
        "", "topic of episode numbers (std_msgs/Int64); each clears the history; empty: none"
    )
    phase_topic: str = parameter(
        "", "for shadows: topic of the commanding node's phases, its ~/phase (std_msgs/String); empty: none"
    )
    autostart: bool = parameter(False, "configure and activate without a manager")
    stay_inactive: bool = parameter(False, "with autostart: configure only; somebody else activates")
    start_topic: str = parameter(
        "", "with autostart: activate once this topic (std_msgs/Bool, transient local) is true; empty: at once"
    )

    def __post_init__(self) -> None:
        """Refuse missing files and unknown words; raises ConfigurationError."""
        for name in ("policy_path", "robot_file"):
            if not getattr(self, name):
                raise ConfigurationError(f"parameter {name} is not set; give it, such as -p {name}:=FILE")

        choices = {
            "send": SENDS,
            "trigger": TRIGGERS,
            "start_gate": START_GATES,
            "unreachable_controller": UNREACHABLE,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(
                    f"parameter {name} is {getattr(self, name)!r}; use one of {', '.join(allowed)}"
                )
        if self.phase_topic and self.enable_control:
            raise ConfigurationError(
                f"parameter phase_topic is {printable(self.phase_topic)!r}, but this node commands; only shadows "
                "follow another node's phases: leave it out, or set enable_control: false"
            )
        for name in ("start_topic", "phase_topic"):
            if (topic := getattr(self, name)) and (problem := topic_problem(topic)):
                raise ConfigurationError(f"parameter {name} is {printable(topic)!r}{problem}")

    def allowed(self) -> Allowed:
        """Return which files `~/load_policy` may load; raises ConfigurationError."""
        return Allowed(self.load_policy_from, self.load_policy_sha256)

    def host(self) -> HostSettings:
        """Return the settings requested from the host; raises ConfigurationError."""
        return HostSettings(self.fifo_priority, self.cpu_affinity, self.lock_memory)

    def provider_settings(self) -> ProviderSettings:
        """Return the settings requested from ONNX Runtime; raises ConfigurationError."""
        return ProviderSettings(self.provider, self.device_id, self.engine_cache, self.fp16, self.cuda_graph)

    def guards(self) -> GuardSettings:
        """Return the settings of the guards; raises ConfigurationError."""
        return GuardSettings(
            self.first_action, self.inference_limit_s, self.on_novelty, self.novelty_ticks, self.follow_timeout_s
        )
