"""The record of `vdd benchmark speed`, key by key; without torch."""

from typing import TypedDict

from vdd_ros.host.facts import MachineFacts


class LoopFigures(TypedDict):
    """The training of one loop.

    Attributes:
        samples_per_s: Expert samples a second, median over the rounds.
        seconds: Time of training after each round, s.
        distance: Energy distance to the teacher's actions after each round, in standardised units.
    """

    samples_per_s: float
    seconds: list[float]
    distance: list[float]


class ReferenceFigures(LoopFigures):
    """The training of the straightforward loop at one learning rate, against that of the product.

    Attributes:
        learning_rate: Learning rate of Adam at the start.
        speedup: Expert samples a second of the product divided by those of this loop, median over the rounds.
        speedup_interval: 95 % interval of `speedup`.
        product_reached_s: Seconds of the product to this loop's distance at the end; None if it did not reach it.
        time_speedup: Seconds of this loop divided by `product_reached_s`; None if the product did not reach it.
    """

    learning_rate: float
    speedup: float
    speedup_interval: list[float]
    product_reached_s: float | None
    time_speedup: float | None


class SpeedFigures(TypedDict):
    """The product's loop against the straightforward one.

    Attributes:
        product: Figures of the product.
        references: Figures of the straightforward loop, one for each learning rate.
        machine: Machine of the runs.
    """

    product: LoopFigures
    references: list[ReferenceFigures]
    machine: MachineFacts


class SpeedRecord(SpeedFigures):
    """The record of a comparison.

    Attributes:
        task: Name of the task.
        backbone: Backbone of teacher and student.
        steps: Expert steps of each loop.
        batch: States of each step.
    """

    task: str
    backbone: str
    steps: int
    batch: int
