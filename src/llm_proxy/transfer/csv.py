"""One flat row a call, for spreadsheets and whatever else reads CSV (RFC 4180, UTF-8, a line of column names).

Bodies are not in it: a cell of a spreadsheet ends after 32 767 characters. Times are ISO 8601 in UTC, lists and
objects compact JSON, booleans ``true`` and ``false``; what is unknown is an empty cell.

A prompt may begin with what a spreadsheet takes for a formula, and would run when somebody opens the file (CWE-1236).
So a text whose first character is one of ``_FORMULA`` gets an apostrophe before it, which a spreadsheet shows as the
text. Taking one apostrophe off the beginning of a text gives the exact text back.
"""

import csv
from datetime import datetime
from typing import BinaryIO

from llm_proxy.model.completion import Completion
from llm_proxy.model.json_text import encode_json
from llm_proxy.transfer.flat import COLUMNS, FlatValue, flat_row

#: What a formula may begin with, by https://owasp.org/www-community/attacks/CSV_Injection, and its fullwidth twins,
#: which some spreadsheets take for the same. The apostrophe is here so that the way back is never in doubt.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
#: No terminal that shows the file shall act on it: escape sequences of a prompt become replacement characters.
_CONTROL_CHARACTERS = {code: "\ufffd" for code in [*range(0x20), *range(0x7F, 0xA0)] if chr(code) not in "\t\r\n"}


class CsvWriter:
    """Writes every record; the column names first, even if no record follows."""

    with_bodies = False

    def __init__(self, file: BinaryIO) -> None:
        self._rows = csv.writer(_Utf8(file))
        self._rows.writerow(COLUMNS)

    def write(self, completion: Completion) -> str | None:
        """Write one record as a row."""
        self._rows.writerow([cell(value) for value in flat_row(completion).values()])
        return None

    def close(self) -> None:
        """Nothing belongs at the end."""


class _Utf8:
    r"""Takes text for a binary file. A lone surrogate, which UTF-8 does not have, is written as \udXXX."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8", "backslashreplace"))


def cell(value: FlatValue) -> str:
    """``value`` as the text of a cell."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(timespec="microseconds")
        case list():
            return encode_json(value).decode().translate(_CONTROL_CHARACTERS) if value else ""
        case str():
            shown = value.translate(_CONTROL_CHARACTERS)
            return f"'{shown}" if shown.startswith(_FORMULA) else shown
        case _:
            return str(value)
