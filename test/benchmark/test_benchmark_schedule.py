"""The order of steps, with workers that are made up here."""

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from vdd_ros.benchmark.methods.schedule import Step, run_steps
from vdd_ros.workers import Function, InProcess, Result


def note(payload: tuple[list[str], str, bool]) -> str:
    done, key, fails = payload
    if fails:
        raise ValueError(key)
    done.append(key)
    return key


class Backwards:
    """Does the newest task first."""

    def __init__(self) -> None:
        self._stack: list[tuple[str, Function, object]] = []

    def submit(self, key: str, function: Function, payload: object) -> None:
        self._stack.append((key, function, payload))

    def results(self) -> Iterator[Result]:
        while self._stack:
            pool = InProcess()
            pool.submit(*self._stack.pop())
            yield from pool.results()


@st.composite
def plans(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], set[str]]:
    """Steps by name with what each needs, all before it, and which of them fail."""
    needs: dict[str, tuple[str, ...]] = {}
    for number in range(draw(st.integers(1, 8))):
        needs[str(number)] = tuple(draw(st.sets(st.sampled_from(sorted(needs)), max_size=3)) if needs else ())
    return needs, draw(st.sets(st.sampled_from(sorted(needs))))


@given(plan=plans())
def test_each_step_ends_once_after_all_that_it_needs(plan: tuple[dict[str, tuple[str, ...]], set[str]]) -> None:
    needs, failing = plan
    for pool in (InProcess(), Backwards()):
        done: list[str] = []
        ended: dict[str, Result] = {}

        def keep(result: Result, ended: dict[str, Result] = ended) -> None:
            assert result.key not in ended
            ended[result.key] = result

        run_steps([Step(key, note, (done, key, key in failing), wants) for key, wants in needs.items()], pool, keep)
        doomed: set[str] = set()
        for key, wants in needs.items():
            if key in failing or doomed & set(wants):
                doomed.add(key)
        assert set(ended) == set(needs)
        assert {key for key, result in ended.items() if result.failure} == doomed
        assert sorted(done) == sorted(set(needs) - doomed)
        assert all(done.index(want) < done.index(key) for key in done for want in needs[key])


def test_a_step_that_cannot_begin_has_the_failure_of_what_it_needs() -> None:
    done: list[str] = []
    results: list[Result] = []
    steps = [Step("a", note, (done, "a", True)), Step("b", note, (done, "b", False), ("a",))]
    run_steps(steps, InProcess(), results.append)
    assert [result.failure for result in results] == ["a: ValueError('a')"] * 2
    assert [result.key for result in results] == ["a", "b"]


def test_what_is_not_among_the_steps_counts_as_done() -> None:
    done: list[str] = []
    run_steps([Step("b", note, (done, "b", False), ("a",))], InProcess(), lambda _: None)
    assert done == ["b"]
