"""A policy loop that is fed by hand, with a timer that stands still and outputs that are kept."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robot_messages import pose

from vdd_ros.control.active_policy import ActivePolicy
from vdd_ros.control.counters import Counters
from vdd_ros.control.decision import DecisionRecord
from vdd_ros.control.guards import GuardSettings
from vdd_ros.control.loop import PolicyLoop
from vdd_ros.control.task_end import TaskEnd
from vdd_ros.control.timing import LatencyRecord, LatencyStatistics
from vdd_ros.policy.onnx_policy import OnnxPolicy
from vdd_ros.robot.robot_file import RobotFile

PERIOD_S = 0.035
AVOIDING = Path(__file__).parents[2] / "config" / "robots" / "avoiding.yaml"


class Collected:
    """Keeps what the loop gives out."""

    def __init__(self) -> None:
        self.commands: list[list[float]] = []
        self.records: list[dict[str, float]] = []
        self.experts: list[int] = []
        self.decisions: list[dict[str, float]] = []
        self.expected: list[tuple[str, ...]] = []
        self.trajectories: list[list[list[float]]] = []
        self.parts: list[tuple[int, ...]] = []
        self.calls = self.calls_off = self.cancelled_goals = 0

    def command(self, values: Any, parts: tuple[int, ...]) -> None:
        self.commands.append(values.tolist())
        self.parts.append(parts)

    def trajectory(self, values: Any, parts: tuple[int, ...]) -> None:
        self.trajectories.append(values.tolist())
        self.parts.append(parts)

    def dry_run(self, values: Any) -> None:
        """Nothing leaves."""

    def request_stop(self) -> None:
        self.calls += 1

    def cancel_request(self) -> None:
        self.calls_off += 1

    def cancel_goals(self) -> None:
        self.cancelled_goals += 1

    def count_in(self, counters: Counters) -> None:
        self.counters = counters

    def latency(self, record: LatencyRecord) -> None:
        self.records.append({label: record[label] for label in record.labels if not math.isnan(record[label])})

    def expert(self, expert: int) -> None:
        self.experts.append(expert)

    def expect_decisions(self, labels: tuple[str, ...], *, experts: bool) -> None:
        self.expected.append(labels)

    def decision(self, record: DecisionRecord) -> None:
        assert record.labels in self.expected
        self.decisions.append(dict(zip(record.labels, record.values.tolist(), strict=True)))


class FakeTimer:
    """A timer that moves by a fixed time whenever it is read."""

    def __init__(self, step_s: float = 0.001) -> None:
        self.now_s, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


class Rig:
    """A loop with its outputs, fed by hand; times are in seconds from an arbitrary origin."""

    def __init__(
        self,
        policy: OnnxPolicy,
        robot: RobotFile,
        *,
        control: bool = True,
        step_s: float = 0.001,
        action_steps: int = 1,
        trajectories: bool = False,
        decisions: bool = True,
        prefetch_ticks: int = 0,
        start_gate: str = "inputs",
        task_end: TaskEnd | None = None,
        **guards: Any,
    ) -> None:
        self.out = Collected()
        self.policy = policy
        self.time_s = 1.0
        self.timer = FakeTimer(step_s)
        settings = GuardSettings(**guards)
        self.loop = PolicyLoop(
            ActivePolicy.of(
                policy,
                robot,
                period_s=PERIOD_S,
                guards=settings,
                action_steps=action_steps,
                prefetch_ticks=prefetch_ticks,
            ),
            self.out,
            LatencyStatistics(),
            period_s=PERIOD_S,
            control=control,
            first_action=settings.first_action,
            trajectories=trajectories,
            decisions=decisions,
            start_gate=start_gate,
            task_end=task_end,
            timer=self.timer,
        )

    def receive(self, name: str, message: Any, now_s: float, received_s: float = math.inf) -> None:
        """Give a message to an input."""
        self.loop.receive(name, message, now_s, received_s)

    def see(self, desired: tuple[float, float], tcp: tuple[float, float], now_s: float) -> None:
        """Give both inputs of Avoiding a message of this time."""
        self.receive("desired", pose(*desired, stamp_s=now_s), now_s)
        self.receive("tcp", pose(*tcp, stamp_s=now_s), now_s)


MakeRig = Callable[..., Rig]
