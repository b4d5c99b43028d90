"""The robot file: maps message fields to observation and command entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vdd_ros.documents import read_yaml
from vdd_ros.errors import RobotFileError
from vdd_ros.features import FLOAT32, Feature, Signature
from vdd_ros.robot.checks import check_entries, check_references
from vdd_ros.robot.command_entries import URDF, CommandEntry
from vdd_ros.robot.commands import Command, read_commands
from vdd_ros.robot.demonstrations import DemonstrationRules, read_demonstrations
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.entry_places import names_in, with_name
from vdd_ros.robot.episodes import EpisodeRules, check_episodes, read_episodes
from vdd_ros.robot.foreign_files import refuse_foreign_document, refuse_foreign_file
from vdd_ros.robot.inputs import Input, read_input
from vdd_ros.robot.last_commands import LastCommand, read_last_command
from vdd_ros.robot.limit_sources import limited
from vdd_ros.robot.quantities import unit_factor
from vdd_ros.robot.urdf import JointLimits, read_urdf
from vdd_ros.robot.yaml_section import Section, fail, refuse_duplicates
from vdd_ros.text import printable


@dataclass(frozen=True)
class RobotFile:
    """A whole robot file.

    Attributes:
        inputs: The inputs.
        commands: The commands.
        last_commands: Observed commands.
        name: Name of the robot; empty if the file has none.
        rate_hz: Rate of the policy, at which bags are sampled; None if the file has none.
        demonstrations: Rules for turning bags into demonstrations.
        episodes: Begin and end of episodes on the robot.
        path: Names the file in errors.
        urdf: File of the robot description, as named in the robot file; None if it names none.
        joints: Limits of the joints in the robot description; None while it is unknown.
        max_skew_s: Largest time between the stamps of a tick's inputs, in seconds; None if any is allowed.
    """

    inputs: tuple[Input, ...]
    commands: tuple[Command, ...]
    last_commands: tuple[LastCommand, ...] = ()
    name: str = ""
    rate_hz: float | None = None
    demonstrations: DemonstrationRules = field(default_factory=DemonstrationRules)
    episodes: EpisodeRules = field(default_factory=EpisodeRules)
    path: str = field(default="", compare=False)
    urdf: str | None = None
    joints: Mapping[str, JointLimits] | None = field(default=None, compare=False)
    max_skew_s: float | None = None

    @classmethod
    def load(cls, path: str | Path) -> "RobotFile":
        """Read a robot file.

        Raises:
            RobotFileError: The file cannot be read, is not YAML, or a field is missing, unknown or wrong.
        """
        file = _expanded(path)
        try:
            refuse_foreign_file(file)
            document = read_yaml(file, RobotFileError, exact_numbers=True)
        except RobotFileError as error:
            raise RobotFileError(f"robot file {error}") from None
        try:
            robot = replace(cls.from_dict(document), path=printable(path))
            return robot if robot.urdf is None else robot.described(_text_beside(file, robot.urdf), robot.urdf)
        except RobotFileError as error:
            raise RobotFileError(f"robot file {printable(path)}: {error}") from None

    @classmethod
    def from_dict(cls, document: Any) -> "RobotFile":
        """Build from the content of a robot file; raises RobotFileError naming the field."""
        refuse_foreign_document(document)
        try:
            return cls._from_dict(document)
        except RobotFileError as error:
            raise RobotFileError(with_name(str(error), names_in(document))) from None

    @classmethod
    def _from_dict(cls, document: Any) -> "RobotFile":
        root = Section(document, "")
        inputs = root.section("inputs")
        sections = {name: inputs.section(name) for name in inputs.names()}
        commanded = {name: section for name, section in sections.items() if section.has("command")}
        parsed = tuple(read_input(section, name) for name, section in sections.items() if name not in commanded)
        if not parsed:
            fail("inputs", "contain no topic of the robot; give one with `topic`, `type` and `entries`")
        commands = read_commands(root)
        robot = cls(
            inputs=parsed,
            commands=commands,
            last_commands=tuple(read_last_command(one, name, commands) for name, one in commanded.items()),
            name=root.text("name") if root.has("name") else "",
            rate_hz=root.number("rate_hz", positive=True) if root.has("rate_hz") else None,
            demonstrations=_demonstrations(root, [command.name for command in commands]),
            episodes=read_episodes(root.section("episodes")) if root.has("episodes") else EpisodeRules(),
            urdf=root.text("urdf") if root.has("urdf") else None,
            max_skew_s=root.number("max_skew_s", positive=True) if root.has("max_skew_s") else None,
        )
        root.finish()
        names = [entry.name for entry in robot.input_entries]
        refuse_duplicates("inputs", "observation entries", names)
        check_entries(robot.inputs, robot.last_commands)
        if robot.max_skew_s is not None and sum(not source.is_kept for source in robot.inputs) < 2:
            fail(
                "max_skew_s",
                "compares the stamps of at least two inputs without `when_stale: keep`, but there is "
                "only one; leave it out",
            )
        for command in robot.commands:
            check_references(command, robot.sources)
        check_episodes(robot.episodes, robot.signature.observation)
        return robot

    @property
    def needs_description(self) -> bool:
        """Whether limits come from a robot description that is unknown so far."""
        return self.joints is None and any(entry.limits == URDF for entry in self.command_entries)

    def described(self, text: str, name: str) -> "RobotFile":
        """Return this file with a robot description (URDF), whose name in errors is `name`; raises RobotFileError."""
        return replace(self, joints=read_urdf(text, printable(name)))

    def sending(self, default: str) -> "RobotFile":
        """Return this file with `send` in every command: its own, otherwise the default."""
        return replace(self, commands=tuple(replace(each, send=each.send or default) for each in self.commands))

    def limited(
        self, action: Sequence[Feature], period_s: float, steps: Mapping[str, float] = MappingProxyType({})
    ) -> "RobotFile":
        """Return this file with every limit of its commands resolved to a number.

        Args:
            action: Features of the policy's action.
            period_s: Time between ticks.
            steps: Demonstrated change per tick of the numbers of the action, by name; empty if unknown.

        Raises:
            RobotFileError: A limit is neither in this file nor in the source that it names.
        """
        try:
            return replace(self, commands=limited(self.commands, action, self.joints, period_s, steps))
        except RobotFileError as error:
            text = with_name(str(error), self.names_of_commands)
            raise RobotFileError(f"robot file {self.path}: {text}" if self.path else text) from None

    @property
    def names_of_commands(self) -> dict[str, list[str]]:
        """Names of each command's numbers, by the place of their list in the file."""
        return {f"{one.path}.entries": [entry.name for entry in one.entries] for one in self.commands}

    @property
    def input_entries(self) -> tuple[InputEntry, ...]:
        """All input entries, input after input; those of last commands come last."""
        return tuple(entry for source in self.sources for entry in source.entries)

    @property
    def sources(self) -> tuple[Input, ...]:
        """The inputs and the last commands, which make up the observation."""
        return (*self.inputs, *self.last_commands)

    @property
    def needs_transforms(self) -> bool:
        """Whether an input names a frame."""
        return any(source.frame for source in self.inputs)

    @property
    def command_entries(self) -> tuple[CommandEntry, ...]:
        """All command entries, command after command."""
        return tuple(entry for command in self.commands for entry in command.entries)

    @property
    def hidden(self) -> tuple[Feature, ...]:
        """Features of hidden entries, which are read but not observed, in the units of this file."""
        return tuple(feature for source in self.sources for feature in source.hidden)

    @property
    def signature(self) -> Signature:
        """Observations and commands of the robot, in the units of its messages, without a fixed rate."""
        return Signature(
            tuple(feature for source in self.sources for feature in source.features),
            tuple(feature for entry in self.command_entries for feature in entry.features),
        )

    def check(self, observation: Sequence[Feature], action: Sequence[Feature]) -> None:
        """Check that the names are those of a policy or task, and that every unit can be converted.

        Args:
            observation: Features of its observation.
            action: Features of its action.

        Raises:
            RobotFileError: A name is missing or unknown, an array differs in shape or number type, or a unit is
                incompatible.
        """
        try:
            self._check(observation, action)
        except RobotFileError as error:
            text = with_name(str(error), self.names_of_commands)
            raise RobotFileError(f"robot file {self.path}: {text}" if self.path else text) from None

    def _check(self, observation: Sequence[Feature], action: Sequence[Feature]) -> None:
        wanted = Signature(tuple(observation), tuple(action))
        alone = self.commands[0] if len(self.commands) == 1 else None
        places = {"observation": "inputs", "action": f"{alone.path}.entries" if alone else "commands"}
        if found := self.signature.differences(wanted, by_name=True):
            part = found[0].part
            problems = "; ".join(difference.problem for difference in found if difference.part == part)
            names = [feature.name for feature in getattr(wanted, part)]
            fail(places[part], f"does not fit the {part}: {problems}; the {part} consists of", names)
        units = {entry.name: entry.unit for entry in observation}
        for source in self.sources:
            entries = [entry for entry in source.entries if not entry.hidden]
            for entry, feature in zip(entries, source.features, strict=True):
                path = f"inputs.{source.name}.{entry.at}.unit"
                factor = unit_factor(feature.unit, units[feature.name], path)
                if feature.dtype != FLOAT32 and factor != 1:
                    problem = f"is {feature.unit!r}; whole numbers are not converted: give the policy's unit,"
                    fail(path, problem, [units[feature.name]])
        action_units = {entry.name: entry.unit for entry in action}
        for command in self.commands:
            for index, number in enumerate(command.entries):
                path = f"{command.path}.entries[{index}]"
                for feature in number.features:
                    unit_factor(action_units[feature.name], feature.unit, f"{path}.unit")
                for key, name in (("relative_to", number.reference), ("measured", number.measured)):
                    if name is not None:
                        unit_factor(units[name], number.unit, f"{path}.{key}")


def _demonstrations(root: Section, commands: Sequence[str]) -> DemonstrationRules:
    if not root.has("demonstrations"):
        return DemonstrationRules()
    return read_demonstrations(root.section("demonstrations"), commands)


def _text_beside(file: Path, name: str) -> str:
    """Return the text of a file that another one names, relative to itself."""
    try:
        return (file.parent / _expanded(name)).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RobotFileError(f"urdf: {printable(name)} cannot be read: {printable(error)}") from None


def _expanded(path: str | Path) -> Path:
    """Return a path with a leading `~` expanded, as in a shell."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # unknown user
        return Path(path)
