"""One ROS domain per run: in a shared domain, the nodes of two demos would command each other's robot."""

import errno
import os
import socket

from vdd_ros.errors import ProcessError

DOMAINS = range(1, 101)
"""Domains whose ports are below Linux's ephemeral ones, without the default, 0."""
NAME = "vdd_ros.domain.{}"
"""Name of the abstract socket that represents a domain.

Like the domain's ports it belongs to the network namespace, so it works across users and for containers on the host's
network, and leaves no file behind."""


def take_domain() -> tuple[int, int]:
    """Take a domain that no other run on this machine uses, other than the environment's own.

    Returns:
        The domain, and a descriptor that holds it. The domain is free again once every process with the descriptor has
        closed it or ended, so nodes that survive a killed run keep theirs.

    Raises:
        ProcessError: All are taken, or the system refuses.
    """
    own = os.environ.get("ROS_DOMAIN_ID")
    first = os.getpid() % len(DOMAINS)
    for number in (*DOMAINS[first:], *DOMAINS[:first]):
        if str(number) != own and (handle := _take(number)) is not None:
            return number, handle
    raise ProcessError(
        f"every ROS domain from {DOMAINS[0]} to {DOMAINS[-1]} is taken by another demo or soak; end one of them"
    )


def _take(number: int) -> int | None:
    """Bind the socket of a domain and return its descriptor; None if another process has it."""
    try:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        holder.bind(f"\0{NAME.format(number)}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder.close()
            return None
        raise ProcessError(f"no ROS domain can be taken: {error}") from error
    return holder.detach()
