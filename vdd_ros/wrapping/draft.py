"""Drafts a description of a foreign graph: the graph's own metadata, and questions for a person."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.documents import yaml_text
from vdd_ros.errors import ConfigurationError, PolicyFileError
from vdd_ros.files import replacing
from vdd_ros.text import printable
from vdd_ros.wrapping.foreign_model import FLOATS, ForeignOutline, Tensor, read_foreign_outline
from vdd_ros.wrapping.spec_fields import OPEN

MOST_NUMBERS = 10_000
"""Limit on the numbers of a tensor that are listed by name."""
_MOST_METADATA = 40
_WIDTH = 116


@dataclass(frozen=True)
class SpecDraft:
    """A drafted description.

    Attributes:
        file: Its path.
        producer: Program that wrote the graph.
        inputs, outputs: Names of the graph's tensors.
        questions: Number of open questions, with which the file is refused.
    """

    file: str
    producer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    questions: int


def write_spec(foreign: Path, file: Path, *, force: bool = False) -> SpecDraft:
    """Draft a description of a foreign graph.

    Args:
        foreign: The foreign ONNX file.
        file: The description to write (YAML).
        force: Whether an existing file is replaced.

    Raises:
        ConfigurationError: The description exists.
        PolicyFileError: The graph cannot be wrapped with any description.
    """
    if os.path.lexists(file) and not force:
        raise ConfigurationError(f"{printable(file)} exists already; name another file, or replace it with --force")
    outline = read_foreign_outline(foreign)
    for tensor in outline.inputs:
        _check(foreign, tensor)
    text = "\n".join(_lines(foreign, file, outline)) + "\n"
    with replacing(file) as aside:
        aside.write_text(text, encoding="utf-8")
    return SpecDraft(
        file=str(file),
        producer=outline.producer,
        inputs=tuple(tensor.name for tensor in outline.inputs),
        outputs=tuple(tensor.name for tensor in outline.outputs),
        questions=sum(OPEN in line.partition("#")[0] for line in text.splitlines()),
    )


def _check(foreign: Path, tensor: Tensor) -> None:
    if len(tensor.shape) != 2 or tensor.shape[0] not in (None, 1) or (tensor.shape[1] or 1) > MOST_NUMBERS:
        raise PolicyFileError(
            f"{printable(foreign)} has the input {printable(tensor.name)} of the shape {_shape(tensor)}; a graph can "
            f"be wrapped if each input is [batch, numbers], the batch free or 1, at most {MOST_NUMBERS:,} numbers. "
            "Images and sequences are not supported: export the graph with flat inputs."
        )


def _lines(foreign: Path, file: Path, outline: ForeignOutline) -> Iterator[str]:
    inputs, outputs = outline.inputs, outline.outputs
    yield f"# From the graph {printable(foreign.name)} of {outline.producer}:"
    for what, tensors in (("input", inputs), ("output", outputs)):
        yield from (f"#   {what} {printable(t.name)} {_shape(t)}, {FLOATS[t.type]}" for t in tensors)
    for key, value in list(outline.metadata.items())[:_MOST_METADATA]:
        yield f"#   metadata {printable(key, 60)}: {printable(value, 400)}"
    yield f'# Answer every "{OPEN}"; docs/policy_file.md, "Graphs of other tools", explains the keys. Then:'
    yield f"#   vdd wrap {printable(foreign.name)} --spec {printable(file.name)} --out policy.onnx"
    yield f'method: "{OPEN}"  # how it was trained, in a few words, such as ppo'
    yield f'rate_hz: "{OPEN}"  # control rate in training; Isaac Lab: 1 / (sim.dt * decimation)'
    if len(inputs) == 1:
        yield f"input: {yaml_text(inputs[0].name)}"
    if len(outputs) == 1:
        yield f"output: {yaml_text(outputs[0].name)}"
    else:
        yield f'output: "{OPEN}"  # the action, one of {", ".join(printable(t.name, 60) for t in outputs)}'
    yield "# Does an input hold several observations? Then list one of them below, and state their order:"
    yield "# history: {length: 5, grouped_by: entry, newest: last}  # entry: as Isaac Lab; frame: one after the other"
    yield "observation:  # in the order of the graph's numbers; an item for each quantity, with its unit and statistics"
    for tensor in inputs:
        yield from _item(tensor, "input" if len(inputs) > 1 else "")
        yield "    # Is it scaled before the graph? Then scale and offset: the graph takes (value - offset) * scale"
        yield "    # mean: 0  # mean and deviation in training, of the physical values, for the pre-flight check;"
        yield "    # std: 1   # or low and high; without these the statistics are unknown"
    yield "action:  # in the order of the output: the physical value is number * scale + offset, limited to low to high"
    yield from _item(outputs[0] if len(outputs) == 1 else Tensor("action", outputs[0].type, ()), "")
    yield f'    scale: "{OPEN}"  # 1 if the graph returns physical values; Isaac Lab: the scale of the action term'
    yield f'    offset: "{OPEN}"  # 0, or the default joint positions, one for each'
    yield f'    low: "{OPEN}"'
    yield f'    high: "{OPEN}"'
    yield "# horizon: 1  # actions in the output, one after the other"


def _item(tensor: Tensor, key: str) -> Iterator[str]:
    """Yield the names and the unit of a tensor's numbers; `key` is the key for its name, empty for none."""
    sizes = tensor.shape[1:]
    count = 0 if not sizes or None in sizes else int(_product(sizes))
    if not 0 < count <= MOST_NUMBERS:
        names = [f'"{OPEN}"']
    else:
        names = [yaml_text(f"{tensor.name}_{index}") for index in range(count)]
    first = f"{key}: {yaml_text(tensor.name)}\n    names: [" if key else "names: ["
    line = f"  - {first}"
    for index, name in enumerate(names):
        end = ", " if index + 1 < len(names) else "]"
        if len(line.rpartition("\n")[2]) + len(name) + len(end) > _WIDTH:
            yield line.rstrip()
            line = "      "
        line += name + end
    yield line
    yield f'    unit: "{OPEN}"'


def _product(sizes: tuple[int | None, ...]) -> int:
    total = 1
    for size in sizes:
        total *= size or 1
    return total


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join('free' if size is None else str(size) for size in tensor.shape)}]"
