"""Steps that depend on each other: workers get each one as soon as its needs are met."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vdd_ros.workers import Function, Result, Workers


@dataclass(frozen=True)
class Step:
    """A piece of work.

    Attributes:
        key: Its name.
        function, payload: The work; see `vdd_ros.workers`.
        needs: Names of the steps that must end first; a name of no step counts as done.
    """

    key: str
    function: Function
    payload: object
    needs: tuple[str, ...] = ()


def run_steps(steps: Sequence[Step], workers: Workers, ended: Callable[[Result], None]) -> None:
    """Run steps, each once.

    Args:
        steps: The steps, each after its needs.
        workers: Run the steps.
        ended: Called in this process with each result, before a step that needs it begins. A step whose need failed
            does not begin: its result is that failure.
    """
    left = {step.key: step for step in steps}
    failures: dict[str, Result] = {}
    waiting = _begin(left, left, workers)
    for result in workers.results():
        del left[result.key]
        if result.failure is not None:
            failures[result.key] = result
        ended(result)
        for step in _doomed(waiting, failures):
            del waiting[step.key], left[step.key]
            ended(failures[step.key])
        waiting = _begin(waiting, left, workers)


def _begin(steps: dict[str, Step], left: dict[str, Step], workers: Workers) -> dict[str, Step]:
    """Give workers the steps that need none of those left; return the others."""
    waiting = {key: step for key, step in steps.items() if any(need in left for need in step.needs)}
    for key, step in steps.items():
        if key not in waiting:
            workers.submit(key, step.function, step.payload)
    return waiting


def _doomed(waiting: dict[str, Step], failures: dict[str, Result]) -> list[Step]:
    """Return the steps that cannot begin, in order, and note why each fails."""
    found = []
    for step in waiting.values():
        if why := next((failures[need] for need in step.needs if need in failures), None):
            failures[step.key] = Result(step.key, failure=why.failure, details=why.details)
            found.append(step)
    return found
