"""The versions of constraints.txt: install a checkout with them, hashes checked, or write the file anew.

    python .ci/pins.py install ros,sim     into the environment of this Python, with these extras of setup.py
    python .ci/pins.py update              versions that are there stay; what setup.py newly needs is added

A line of constraints.txt is `name==version  # extras; sha256:digest`: pip takes the file as constraints, for which it
knows no hashes, and this script gives the hashes of the lines that the extras need to pip as requirements.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
FILE = CHECKOUT / "constraints.txt"
EXTRAS = ("ros", "sim", "train", "physics", "kitchen", "cluster", "formats", "video", "dev")
BASE = "base"
BUILD = "setuptools"
UNHASHED = "torch"
"""Its builds for CPU and CUDA differ and come from different places: its version is pinned, its file is not."""

_LINE = re.compile(r"([\w.-]+)==([\w.+!-]+)  # ([\w ]+)((?:; sha256:[0-9a-f]{64})*)")
_OF_CUDA = ("nvidia-", "cuda-", "triton")


@dataclass(frozen=True)
class Pin:
    """A line of constraints.txt.

    Attributes:
        name, version: Of the distribution.
        extras: Extras of setup.py that need it, or `base`.
        sha256: Hex digests of the files that pip may take.
    """

    name: str
    version: str
    extras: tuple[str, ...]
    sha256: tuple[str, ...]

    @property
    def line(self) -> str:
        """The line of constraints.txt."""
        hashes = "".join(f"; sha256:{digest}" for digest in self.sha256)
        return f"{self.name}=={self.version}  # {' '.join(self.extras)}{hashes}"

    @property
    def requirement(self) -> str:
        """The line of a requirements file."""
        return f"{self.name}=={self.version}" + "".join(f" --hash=sha256:{digest}" for digest in self.sha256)


def read(text: str) -> list[Pin]:
    """Read constraints.txt; raises ValueError where a line is something else than a comment or a pin."""
    pins = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#") or not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"constraints.txt, line {number}: '{line}' is no pin; run `python .ci/pins.py update`")
        hashes = tuple(re.findall("[0-9a-f]{64}", match[4]))
        pins.append(Pin(match[1], match[2], tuple(match[3].split()), hashes))
    return pins


def needed(pins: list[Pin], extras: set[str]) -> list[Pin]:
    """Return the pins that these extras need, the package itself included."""
    return [pin for pin in pins if {BASE, *extras} & set(pin.extras)]


def for_this_python() -> bool:
    """Tell whether the hashes are those of the files that pip takes here."""
    here = (sys.implementation.name, sys.version_info[:2], sys.platform, platform.machine())
    return here == ("cpython", (3, 11), "linux", "x86_64")


def install(extras: str) -> None:
    """Install the checkout with some of its extras, separated by commas."""
    names = set(filter(None, extras.split(",")))
    if unknown := names - set(EXTRAS):
        sys.exit(f"pins.py: no such extra: {', '.join(sorted(unknown))}; there are {', '.join(EXTRAS)}")
    project = f"{CHECKOUT}[{','.join(sorted(names))}]"
    if not for_this_python():
        print("pins.py: constraints.txt is for CPython 3.11 on x86_64 Linux: hashes are not checked", file=sys.stderr)
        pinned = ["--constraint", str(FILE)] if sys.version_info >= (3, 11) else []
        _pip("install", *pinned, "--editable", project)
        return
    pins = read(FILE.read_text(encoding="utf-8"))
    chosen = needed(pins, names)
    with tempfile.TemporaryDirectory(prefix="vdd_ros.pins.") as folder:
        for number, part in enumerate(([p for p in pins if p.name == BUILD], [p for p in chosen if p.sha256])):
            file = Path(folder) / f"requirements_{number}.txt"
            file.write_text("".join(f"{pin.requirement}\n" for pin in part), encoding="utf-8")
            # What comes as source is built with the setuptools that was installed before, not with what pip fetches.
            # The lines are all that is needed; for what one asks of another with an extra pip would want a hash again.
            options = ("--require-hashes", "--no-deps", "--no-build-isolation", "--use-pep517")
            _pip("install", *options, "--requirement", str(file))
    if unhashed := [pin.requirement for pin in chosen if not pin.sha256]:
        _pip("install", "--constraint", str(FILE), *unhashed)
    _pip("install", "--no-build-isolation", "--no-deps", "--editable", project)


def update() -> None:
    """Write constraints.txt anew: its own versions where it has one, else the newest that fits."""
    from packaging.utils import canonicalize_name

    head = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    with tempfile.TemporaryDirectory(prefix="vdd_ros.pins.") as folder:
        report = Path(folder) / "report.json"
        project = f"{CHECKOUT}[{','.join(EXTRAS)}]"
        # Hashes are those that the index states, so that nothing is downloaded for them but what has to be built.
        options = ["--dry-run", "--quiet", "--ignore-installed", "--report", str(report), "--constraint", str(FILE)]
        _pip("install", *options, project)
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    found: dict[str, Any] = {canonicalize_name(item["metadata"]["name"]): item for item in items}
    root = found.pop("vdd-ros")
    metadata = {name: item["metadata"] for name, item in found.items()}
    users: dict[str, list[str]] = {name: [] for name in found}
    for extra in (BASE, *EXTRAS):
        for name in closure(metadata, _direct(root["metadata"], extra)):
            users[name].append(extra)
    lines = []
    for name in sorted(found):
        item, hashes = found[name], found[name]["download_info"]["archive_info"]["hashes"]
        version = item["metadata"]["version"].partition("+")[0]
        if users[name]:
            digests = () if name == UNHASHED else (hashes["sha256"],)
            lines.append(Pin(item["metadata"]["name"], version, tuple(users[name]), digests).line)
    FILE.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def closure(metadata: dict[str, Any], roots: Iterator[Any]) -> set[str]:
    """Return the names of requirements and all that they need, but for what torch needs for CUDA."""
    from packaging.utils import canonicalize_name

    seen: set[str] = set()
    left = list(roots)
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or name.startswith(_OF_CUDA):
            continue
        seen.add(name)
        for extra in ("", *requirement.extras):
            left += _direct(metadata[name], extra)
    return seen


def _direct(metadata: dict[str, Any], extra: str) -> Iterator[Any]:
    """Yield what a distribution needs here, or with one of its extras what that adds."""
    from packaging.requirements import Requirement

    for text in metadata.get("requires_dist") or ():
        requirement = Requirement(text)
        marker = requirement.marker
        of_extra = marker is not None and "extra" in str(marker)
        if of_extra == (extra not in ("", BASE)) and (marker is None or marker.evaluate({"extra": extra})):
            yield requirement


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("install", help="install the checkout with pinned versions, hashes checked")
    command.add_argument("extras", nargs="?", default="", help=f"separated by commas: {', '.join(EXTRAS)}")
    commands.add_parser("update", help="write constraints.txt anew")
    arguments = parser.parse_args()
    if arguments.command == "install":
        install(arguments.extras)
    else:
        update()


if __name__ == "__main__":
    main()
