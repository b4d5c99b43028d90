"""The bags among some folders and files, each with a unique name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vdd_ros.bags.layout import MENDED, MENDING, METADATA, PARTIAL, SUFFIXES, shown
from vdd_ros.errors import RecordingError
from vdd_ros.file_kinds import BAG, misplaced


@dataclass(frozen=True)
class NamedBag:
    """A bag; `name` is that of its folder or file, with enough of the folders above to be unique."""

    name: str
    path: Path


def list_bags(places: Sequence[Path]) -> list[NamedBag]:
    """Return the bags at some paths, in order: bags themselves, and bags in folders, sorted by name.

    A mended bag `NAME.mended` replaces `NAME`.

    Raises:
        RecordingError: A path does not exist or has no bag, a bag is given twice or is unfinished, or it is unclear
            which files form one bag.
    """
    found = _without_mended([bag for place in places for bag in _bags_of(place)])
    real = Counter(path.resolve() for path in found)
    if twice := [path for path in found if real[path.resolve()] > 1]:
        raise RecordingError(f"{shown(twice[0])} is given twice; its episodes would count twice. Give it once")
    return [NamedBag(name, path) for name, path in zip(_names(found), found, strict=True)]


def _bags_of(place: Path) -> list[Path]:
    if not place.exists():
        raise RecordingError(f"{shown(place)} does not exist; give a bag, or a folder of bags")
    if place.name.endswith(PARTIAL):
        raise _unfinished(place)
    if not place.is_dir() and (why := misplaced(place, BAG, "a bag")):
        raise RecordingError(f"{shown(place)} {why}")
    if not place.is_dir() or _is_bag(place):
        return [place]
    folders = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.endswith(MENDING))
    if unfinished := [path for path in folders if path.name.endswith(PARTIAL)]:
        raise _unfinished(unfinished[0])
    inside = [path for path in folders if _is_bag(path)]
    bags = _without_mended(inside)
    if not bags:
        if why := misplaced(place, BAG, "a bag"):
            raise RecordingError(f"{shown(place)} {why}")
        raise RecordingError(
            f"{shown(place)} holds no bag: neither it nor a folder in it has {METADATA} or a file of a bag "
            f"({', '.join(SUFFIXES)}). Give a bag, or the folder that holds the bags"
        )
    return bags


def _without_mended(bags: Sequence[Path]) -> list[Path]:
    """Return bags without those of which a mended copy is among them."""
    given = {path.resolve() for path in bags}
    return [path for path in bags if (real := path.resolve()).with_name(real.name + MENDED) not in given]


def _is_bag(folder: Path) -> bool:
    """Return whether a folder is a bag; raises RecordingError if it may be one or several."""
    if (folder / METADATA).exists():
        return True
    files = [file for file in folder.iterdir() if file.name.endswith(SUFFIXES) and file.is_file()]
    if len(files) > 1:
        raise RecordingError(
            f"{shown(folder)} holds {len(files)} files of bags, but no {METADATA}, which would show whether they form "
            f"one bag. If each is a bag, name the files one by one ({shown(folder)}/*{files[0].suffix}); if they form "
            f"one, `vdd bag mend {shown(folder)}` completes it"
        )
    return bool(files)


def _unfinished(path: Path) -> RecordingError:
    whole = shown(path).removesuffix(PARTIAL)
    return RecordingError(
        f"{shown(path)} is unfinished: its recorder still runs, or was killed; in that case `vdd bag mend {whole}` "
        "completes it"
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the shortest endings that distinguish the paths."""
    whole = [path.resolve().parts for path in paths]
    for depth in range(1, max(map(len, whole), default=1) + 1):
        names = ["/".join(parts[-depth:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
