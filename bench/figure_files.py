"""Files of `unitvar bench --json` and of bench/figures: an object whose "rows" stand one a line."""

import json
import os

PASSES = ("forward", "backward", "inference")
KEY = ("op", "groups", "shape", "layout", "dtype", "pass", "threads")


class Refused(Exception):
    """What is wrong with a file or a result, in one line."""


def read(path, wanted=KEY[:1] + KEY[2:]):
    """The object in a file, each of whose rows has the names that are wanted."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise Refused(f"{path} is no file of `unitvar bench --json`: {error}") from error
    rows = document.get("rows") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise Refused(f"{path}: rows is {json.dumps(rows)[:40]}, want what `unitvar bench --json` writes")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Refused(f"{path}: rows[{number}] is {json.dumps(row)[:40]}, want an object")
        for name in wanted:
            if name not in row:
                raise Refused(f"{path}: rows[{number}] has no {name}, want {', '.join(wanted)}")
    return document


def text(document):
    """A file's text, in the form that `unitvar bench --json` has."""
    rest = {name: value for name, value in document.items() if name != "rows"}
    rows = ",".join("\n  " + json.dumps(row, separators=(",", ":")) for row in document["rows"])
    return json.dumps(rest, indent=1)[:-2] + ',\n "rows": [' + rows + "\n ]\n}\n"


def write(path, content):
    """Replaces a file when all is written."""
    unfinished = f"{path}.{os.getpid()}"
    try:
        with open(unfinished, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(unfinished, path)
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from error


def key(row):
    """What a row measures."""
    return tuple(tuple(row[name]) if name == "shape" else row.get(name) for name in KEY)


def shape_text(shape):
    return "x".join(str(axis) for index, axis in enumerate(shape) if index != 2 or axis != 1)


def threads_text(threads):
    return f"{threads} thread{'s' * (threads != 1)}"
