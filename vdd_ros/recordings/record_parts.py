"""The record beside a demonstration set, and those of its parts."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.documents import json_object, write_json
from vdd_ros.errors import DemonstrationError
from vdd_ros.recordings.record import RECORD_NAME, BagRecord, ConversionRecord, read_record


def record_of(demonstrations: DemonstrationSet) -> tuple[ConversionRecord | None, str]:
    """Return the record beside a set, or why it is not used; neither without a record."""
    file = demonstrations.file.with_name(RECORD_NAME) if demonstrations.file else None
    if file is None or not file.exists():
        return None, ""
    try:
        record = read_record(file)
    except DemonstrationError as error:
        return None, str(error)
    if record.sha256 != demonstrations.sha256:
        return None, f"{file} belongs to other demonstrations; its alignment is not shown"
    return record, ""


def write_records(whole: DemonstrationSet, files: Sequence[Path], parts: Sequence[Collection[int]]) -> str:
    """Write the record of each part of a set beside it: the bags, the part's episodes, and those left out.

    Args:
        whole: The set.
        files: Files of the parts.
        parts: Numbers of the episodes of each part, from 0.

    Returns:
        Why the record of the set is not used; empty if it is used or missing. If it is not used, older records beside
        the parts are removed.

    Raises:
        OSError: A record cannot be written.
    """
    record, remark = record_of(whole)
    for file, numbers in zip(files, parts, strict=True):
        place = file.with_name(RECORD_NAME)
        if record is None:
            place.unlink(missing_ok=True)
            continue
        digest = DemonstrationSet.load(file).sha256
        write_json(place, json_object(replace(record, sha256=digest, bags=_chosen(record.bags, numbers))))
    return remark


def _chosen(bags: Sequence[BagRecord], numbers: Collection[int]) -> list[BagRecord]:
    """Return the records of bags with the episodes of these numbers, in the order of the set."""
    found, first = [], 0
    for bag in bags:
        episodes = [one for number, one in enumerate(bag.episodes, start=first) if number in numbers]
        found.append(replace(bag, episodes=episodes))
        first += len(bag.episodes)
    return found
