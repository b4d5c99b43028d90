"""Inputs of last commands: the numbers of a command topic as observation entries."""

from collections.abc import Sequence

from vdd_ros.robot.command_entries import CommandEntry
from vdd_ros.robot.commands import Command
from vdd_ros.robot.entries import InputEntry
from vdd_ros.robot.inputs import LONGEST_AGE_S, Input
from vdd_ros.robot.layouts import Layout
from vdd_ros.robot.yaml_section import Section, fail

SUFFIX = "_commanded"


class LastCommand(Input):
    """The newest message on the topic of a command; before an episode's first one, the robot's measured values."""

    @property
    def layout(self) -> Layout:
        """See Input."""
        names = [str(entry.commands) for entry in self.entries]
        return self.message.command_layout(names, [entry.unit for entry in self.entries])


def read_last_command(section: Section, name: str, commands: Sequence[Command]) -> LastCommand:
    """Read an input with `command`; raises RobotFileError naming the field."""
    wanted = section.text("command")
    section.choice("entries", ("all",))
    section.finish()
    command = next((each for each in commands if each.name == wanted), None)
    if command is None:
        section.refuse(
            "command",
            f"is {wanted!r}, which is not a command of this file; the commands are",
            [c.name for c in commands],
        )
    if command.message.is_action:
        section.refuse("command", f"is {wanted!r}, which is sent as goals of an action, not on a topic")
    for index, (number, rate) in enumerate(zip(command.entries, command.rates, strict=True)):
        if number.measured is None and number.action and not rate and command.on_loss != "zero":
            fail(
                f"{command.path}.entries[{index}]",
                f"needs `measured`, since {section.path} observes the last command: before the first command of an "
                f"episode, the policy observes the measured value",
            )
    entries = tuple(_entry(command, number) for number in command.entries)
    return LastCommand(
        name=name,
        topic=command.topic,
        message=command.message,
        max_age_s=LONGEST_AGE_S,
        qos="sensor_data",
        entries=entries,
        stamp="arrival",
        when_stale="keep",
    )


def _entry(command: Command, number: CommandEntry) -> InputEntry:
    """Return the entry of a number; a fixed one is read, as part of the message, but not observed."""
    fixed = number.action is None
    return InputEntry(
        f"{command.name}.{number.name}" if fixed else f"{number.action}{SUFFIX}",
        number.unit,
        scale=number.scale,
        offset=number.offset,
        place="entries",
        hidden=fixed,
        commands=number.name,
        starts_at=number.measured,
    )
