"""Bags to one demonstration set: finished bags are kept, so that an interrupted conversion can resume."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from vdd_ros import __version__
from vdd_ros.bags.layout import find_bag
from vdd_ros.console import tell
from vdd_ros.data.demonstrations import FILE_NAME, DemonstrationSet
from vdd_ros.data.joining import joined
from vdd_ros.documents import json_object, read_json, write_json
from vdd_ros.errors import ConfigurationError, DemonstrationError
from vdd_ros.files import NO_ROOM
from vdd_ros.locks import holding
from vdd_ros.progress import progress
from vdd_ros.recordings.bag_conversion import convert_bag
from vdd_ros.recordings.bag_list import NamedBag
from vdd_ros.recordings.column_sampler import why_not_by_columns
from vdd_ros.recordings.episode_names import EpisodeNames
from vdd_ros.recordings.episodes import Episode
from vdd_ros.recordings.form import SamplingForm
from vdd_ros.recordings.record import RECORD_NAME, VERSION, BagRecord, ConversionRecord, read_bag_record
from vdd_ros.robot.robot_file import RobotFile
from vdd_ros.text import printable

PARTS = ".vdd_ros.bags"
"""Folder of the finished bags, inside the folder of the set, until all are finished."""
_BAG_RECORD, _SETTINGS = "bag.json", "settings.json"
_REASONS_SHOWN = 5
_TOGETHER = 16 << 20
"""Size of episodes that are written together, in bytes."""


@dataclass(frozen=True)
class Converted:
    """Result of a conversion.

    Attributes:
        demonstrations: The set.
        record: Record of each bag.
        resumed: Bags finished by an earlier, interrupted conversion.
    """

    demonstrations: DemonstrationSet
    record: ConversionRecord
    resumed: int


def convert(
    bags: Sequence[NamedBag],
    form: SamplingForm,
    robot: RobotFile,
    folder: Path,
    *,
    force: bool = False,
    resume: bool = False,
) -> Converted:
    """Convert bags and write the set, whole or not at all.

    Args:
        bags: The bags, in the order of their episodes.
        form: Form of the demonstrations.
        robot: The robot file.
        folder: Folder of the set and its record.
        force: Replace existing demonstrations.
        resume: Continue after the bags finished by an interrupted conversion.

    Raises:
        DemonstrationError: The folder holds demonstrations, or parts of another conversion; or no episode fits the
            rules.
        RecordingError: A bag is damaged, or holds fewer messages than its metadata count.
        RobotFileError: A message lacks a field that the robot file names.
        OSError: The disk is full; the folder is left empty.
        HeldError: Another process uses the folder.
    """
    file = folder / FILE_NAME
    continues = resume and (folder / PARTS / _SETTINGS).exists()  # of a conversion that was to replace the set
    if file.exists() and not force and not continues:
        raise DemonstrationError(
            f"{printable(file)} exists already; replace it with --force, or name another folder with --out"
        )
    with holding(folder):
        parts = _Parts(folder / PARTS, form, robot, resume=resume)
        try:
            records = _convert_all(bags, form, robot, parts)
            converted = _put_together(parts, records, robot, form, folder)
        except BaseException as error:
            if _is_final(error) or not parts.count:
                parts.remove()
            else:
                tell(f"{parts.count} of {len(bags)} bags are finished; --resume continues after them")
            raise
        parts.remove()
    return converted


def _is_final(error: BaseException) -> bool:
    """Return whether finished bags are useless after an error: the disk is full, or no episode is usable."""
    cause = error.__cause__ if isinstance(error, ConfigurationError) else error
    return isinstance(error, DemonstrationError) or (isinstance(cause, OSError) and cause.errno in NO_ROOM)


class _Parts:
    """The finished bags, each with its episodes in a separate folder.

    Attributes:
        resumed: Bags that were finished before.
        count: Finished bags.
    """

    def __init__(self, folder: Path, form: SamplingForm, robot: RobotFile, *, resume: bool) -> None:
        self.folder = folder
        self.resumed = self.count = 0
        self._form = form
        settings = _settings(form, robot)
        if folder.exists() and not (resume and (folder / _SETTINGS).exists()):
            shutil.rmtree(folder)
        if folder.exists() and read_json(folder / _SETTINGS, DemonstrationError) != settings:
            raise DemonstrationError(
                f"{printable(folder)} holds bags that were converted with another robot file, rate or version; start "
                "again without --resume"
            )
        if not folder.exists():
            try:
                write_json(folder / _SETTINGS, settings)
            except BaseException:
                self.remove()
                raise

    def done(self, bag: NamedBag) -> BagRecord | None:
        """Return the record of a finished bag if it is unchanged; otherwise make room for it."""
        place = self._place(bag)
        if (place / _BAG_RECORD).exists():
            self.resumed += 1
            self.count += 1
            return read_bag_record(place / _BAG_RECORD)
        shutil.rmtree(place, ignore_errors=True)
        return None

    def keeper(self, bag: NamedBag) -> "_Keeper":
        """Return a writer for the episodes of a bag."""
        return _Keeper(self._place(bag), self._form)

    def finish(self, bag: NamedBag, record: BagRecord, keeper: "_Keeper") -> None:
        """Mark a bag as finished."""
        keeper.write()
        write_json(self._place(bag) / _BAG_RECORD, json_object(record))
        self.count += 1

    def sets(self, bag: NamedBag) -> list[Path]:
        """Return the folders of a bag's episodes, in order."""
        return sorted(path for path in self._place(bag).iterdir() if path.is_dir())

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, bag: NamedBag) -> Path:
        return self.folder / _digest([bag.name, *_state(bag.path)])[:32]


class _Keeper:
    """Writes the episodes of a bag, several in a set, since flushing each file to disk takes time.

    Args:
        place: Folder of the bag.
        form: Form of the demonstrations.
    """

    def __init__(self, place: Path, form: SamplingForm) -> None:
        self._place, self._form = place, form
        self._waiting: list[DemonstrationSet] = []
        self._size = self._number = 0

    def keep(self, episode: Episode) -> None:
        """Take an episode."""
        one = episode.to_set(self._form.header)
        self._waiting.append(one)
        self._size += sum(values.nbytes for values in (one.observation, one.action, *one.arrays.values()))
        if self._size >= _TOGETHER:
            self.write()

    def write(self) -> None:
        """Write the remaining episodes."""
        if self._waiting:
            part = DemonstrationSet.joined(self._waiting)
            part.save(self._place / f"{self._number:06}_{len(part.action)}", compressed=False)
            self._number += 1
        self._waiting, self._size = [], 0


def _pairs_of(place: Path) -> int:
    """Return the number of pairs in a part, from the end of its name."""
    return int(place.name.rpartition("_")[2])


def _convert_all(
    bags: Sequence[NamedBag], form: SamplingForm, robot: RobotFile, parts: _Parts
) -> list[tuple[NamedBag, BagRecord]]:
    records = []
    if why := why_not_by_columns(robot):
        tell(
            f"bags sampled message by message: {len(bags)}, since {why}; this is many times slower "
            "(docs/demonstrations.md, Speed)"
        )
    for bag in bags:
        if unnamed := find_bag(bag.path).unnamed:
            files = printable(", ".join(unnamed))
            tell(f"{printable(bag.name)}: not read, since its metadata.yaml lacks them: {files}")
    finished = [parts.done(bag) for bag in bags]
    names = EpisodeNames(divides=robot.demonstrations.divides)
    for before in finished:
        names.take(() if before is None else before.names)
    with progress(len(bags), "bags", "bag") as bar:
        for bag, before in zip(bags, finished, strict=True):
            record = before
            if record is None:
                keeper = parts.keeper(bag)
                record = convert_bag(bag, form, robot, keeper.keep, names)
                parts.finish(bag, record, keeper)
            records.append((bag, record))
            bar.update()
    return records


def _put_together(
    parts: _Parts, records: Sequence[tuple[NamedBag, BagRecord]], robot: RobotFile, form: SamplingForm, folder: Path
) -> Converted:
    places = [place for bag, record in records if record.episodes for place in parts.sets(bag)]
    left_out = [one for _, record in records for one in record.left_out]
    if not places:
        reasons = "; ".join(f"{printable(one.name)}: {one.reason}" for one in left_out[:_REASONS_SHOWN])
        more = f"; and {len(left_out) - _REASONS_SHOWN} more" if len(left_out) > _REASONS_SHOWN else ""
        raise DemonstrationError(
            f"no episode is usable, so no demonstrations were written: {reasons or 'the bags have no episode'}{more}"
        )
    with joined(map(DemonstrationSet.load, places), list(map(_pairs_of, places)), parts.folder) as whole:
        record = ConversionRecord(VERSION, robot.path, form.rate_hz, whole.sha256, [one for _, one in records])
        aside = parts.folder / RECORD_NAME
        write_json(aside, json_object(record))  # first: without room for it, the set is not written either
        whole.save(folder)
        aside.replace(folder / RECORD_NAME)
    del whole  # before the set is read again
    return Converted(DemonstrationSet.load(folder), record, parts.resumed)


def _settings(form: SamplingForm, robot: RobotFile) -> dict[str, str]:
    """Return the settings that all bags of one conversion must share."""
    return {"version": __version__, "form": repr(form), "robot": _digest([repr(replace(robot, path=""))])}


def _state(path: Path) -> list[str]:
    """Return a fingerprint of a bag: name, size and time of its files."""
    found = [(file.name, file.stat()) for file in find_bag(path).files if file.exists()]
    return [str(path.resolve()), *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in found)]


def _digest(texts: Sequence[str]) -> str:
    return sha256(json.dumps(list(texts)).encode()).hexdigest()
