"""Plug-in registries: members by name, shipped with vdd_ros or added by other packages through entry points.

A package adds something with one line in its own metadata, such as

    [project.entry-points."vdd_ros.tasks"]
    pushing = "my_package.pushing:TASK"

A member is imported when its name is requested.
"""

import difflib
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from vdd_ros.errors import PluginError, VddError
from vdd_ros.text import printable

T = TypeVar("T")


def imported(place: str) -> Callable[..., Any]:
    """Return a function that imports "module:attribute" on its first call and calls it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        module, _, attribute = place.partition(":")
        return getattr(import_module(module), attribute)(*args, **kwargs)

    return call


class Registry(Generic[T]):
    """Members of one entry-point group, by name.

    Args:
        group: Entry-point group, such as "vdd_ros.tasks".
        what: Kind of the members in words, such as "task".
        kind: Type that every member must have.
        error: Exception for an unregistered name.
        shipped: Name to "module:attribute" of shipped members.
        own_name: Returns a member's own name, which must equal that of its entry point; None: members have no name.
    """

    def __init__(
        self,
        group: str,
        what: str,
        kind: type[T],
        error: type[VddError],
        shipped: Mapping[str, str],
        own_name: Callable[[T], str] | None = None,
    ) -> None:
        self.group = group
        self._what = what
        self._kind = kind
        self._error = error
        self._shipped = dict(shipped)
        self._own_name = own_name
        self._loaded: dict[str, T] = {}

    def names(self) -> list[str]:
        """Return all names, sorted, without importing any member."""
        return sorted({*self._shipped, *self._others})

    def get(self, name: str) -> T:
        """Import and return a member.

        Raises:
            VddError: `error`, if the name is not registered.
            PluginError: Its module cannot be imported, or holds another type or a member of another name; or two
                packages register the name.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def usable(self) -> tuple[dict[str, T], dict[str, VddError]]:
        """Import all members: usable ones by name, shipped ones first, and the reasons why others are not."""
        found: dict[str, T] = {}
        broken: dict[str, VddError] = {}
        for name in [*self._shipped, *sorted(self._others.keys() - self._shipped.keys())]:
            try:
                found[name] = self.get(name)
            except VddError as error:
                broken[name] = error
        return found, broken

    def taken(self, name: str, member: T) -> str:
        """Return why another package cannot register a member under a name; empty if it can.

        Args:
            name: The name.
            member: The member; a shipped one keeps its own name.
        """
        other = self._others.get(name)
        if isinstance(other, PluginError):
            return str(other)
        if name in self._shipped and self.get(name) is not member:
            return f"{self._what} '{printable(name)}' ships with vdd_ros, so no other package can register it"
        return ""

    def forget(self) -> None:
        """Search installed packages again at the next call, and import their members again."""
        self._loaded.clear()
        self.__dict__.pop("_others", None)

    @cached_property
    def _others(self) -> dict[str, EntryPoint | PluginError]:
        """Return other packages' members by name; for a name registered twice, the reason why it cannot be used."""
        found: dict[str, EntryPoint | PluginError] = {}
        for point in entry_points(group=self.group):
            other = found.setdefault(point.name, point)
            if point.name in self._shipped:
                found[point.name] = PluginError(
                    f"{_origin(point)} registers {self._what} '{printable(point.name)}', which ships with vdd_ros; "
                    f"give it another name in its entry points ({self.group})"
                )
            elif isinstance(other, EntryPoint) and other.value != point.value:
                found[point.name] = PluginError(
                    f"{self._what} '{printable(point.name)}' is registered by {_origin(other)} and by {_origin(point)} "
                    f"({self.group}); uninstall one of them"
                )
        return found

    def _load(self, name: str) -> T:
        point = self._others.get(name)
        if isinstance(point, PluginError):
            raise point
        if name in self._shipped:
            module, _, attribute = self._shipped[name].partition(":")
            return self._checked(name, getattr(import_module(module), attribute), "vdd_ros")
        if point is None:
            names = self.names()
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean '{printable(close[0])}'?" if close else ""
            known = ", ".join(map(printable, names))
            raise self._error(f"unknown {self._what} '{printable(name)}'; known: {known}{hint}")
        try:
            member = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # another package's module may raise anything
            raise PluginError(
                f"{self._what} '{printable(name)}' of {_origin(point)} cannot be imported from "
                f"{printable(point.value)}: {type(error).__name__}: {printable(error)}"
            ) from error
        return self._checked(name, member, _origin(point))

    def _checked(self, name: str, member: object, origin: str) -> T:
        if not isinstance(member, self._kind):
            raise PluginError(
                f"{self._what} '{printable(name)}' of {origin} is a {type(member).__name__}; "
                f"it must be a {self._kind.__module__}.{self._kind.__qualname__}"
            )
        if self._own_name is not None and (own := self._own_name(member)) != name:
            raise PluginError(
                f"{self._what} '{printable(name)}' of {origin} calls itself '{printable(own)}'; its entry point "
                f"({self.group}) must have the same name"
            )
        return member


def _origin(point: EntryPoint) -> str:
    distribution = point.dist
    return printable(f"{distribution.name} {distribution.version}" if distribution is not None else point.value)
