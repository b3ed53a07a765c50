"""Tags in one field of a form: with commas between them, and those that have a comma themselves in quotation marks."""

import csv
from collections.abc import Iterable


def read_tags(text: str) -> tuple[str, ...]:
    """The tags that somebody wrote, each once."""
    [parts] = csv.reader([text.replace("\r", " ").replace("\n", " ")], skipinitialspace=True) if text.strip() else [[]]
    return tuple(dict.fromkeys(tag for part in parts if (tag := part.strip())))


def write_tags(tags: Iterable[str]) -> str:
    """What ``read_tags`` makes ``tags`` of."""
    return ", ".join(_quoted(tag) if tag[:1] == '"' or "," in tag else tag for tag in tags)


def _quoted(tag: str) -> str:
    doubled = tag.replace('"', '""')
    return f'"{doubled}"'
