"""Output of a command's numbers: a separate JSON file, or a results file with many sets by name."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from vdd_ros.documents import JsonObject, read_json, to_json, write_json
from vdd_ros.errors import ConfigurationError
from vdd_ros.files import updating
from vdd_ros.places import OutputFile
from vdd_ros.text import printable


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Add --json, --append and --label."""
    parser.add_argument("--json", type=OutputFile, metavar="FILE", help="write the numbers as JSON")
    parser.add_argument("--append", type=OutputFile, metavar="FILE", help="add the numbers to a JSON results file")
    parser.add_argument("--label", help="name of the numbers in that file; replaces numbers of the same name")


def check_result_options(args: argparse.Namespace) -> None:
    """Refuse early what would fail at the end.

    Raises:
        ConfigurationError: Only one of --append and --label was given, or the results file is invalid.
    """
    if (args.append is None) != (args.label is None):
        raise ConfigurationError("--append FILE and --label NAME belong together; give both or neither")
    if args.append is not None:
        _read(args.append)


def keep_result(args: argparse.Namespace, record: Mapping[str, object]) -> None:
    """Write a record to the files of the options."""
    if args.json is not None:
        write_json(args.json, record)
    if args.append is not None:
        with updating(args.append):
            write_json(args.append, _read(args.append) | {args.label: to_json(dict(record))})


def _read(file: Path) -> JsonObject:
    """Read a results file; a missing one counts as empty."""
    if not file.exists():
        return {}
    try:
        results = read_json(file, ConfigurationError)
    except ConfigurationError as error:
        raise ConfigurationError(f"--append: {error} Fix it or name another file.") from error
    if not isinstance(results, dict):
        raise ConfigurationError(
            f"--append {printable(file)} holds a {type(results).__name__}, not an object; name another file"
        )
    return results
