"""Which format a file has, by its content: the name of a file says little."""

from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from llm_proxy.errors import NotImportable
from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.jsonl import VERSION_MEMBER
from llm_proxy.transfer.objects import read_objects

Format: TypeAlias = Literal["jsonl", "llm", "helicone", "litellm"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: Of SQLite (https://www.sqlite.org/fileformat.html).
_DATABASE = b"SQLite format 3\x00"
#: Members that an object of each format has, and none of another.
_MEMBERS: dict[Format, frozenset[str]] = {
    "jsonl": frozenset({VERSION_MEMBER}),
    "litellm": frozenset({"request_id", "startTime"}),
    "helicone": frozenset({"request_created_at"}),
}
#: Rows looked at; a few bad ones at the beginning do no harm.
_ROWS = 20


def guess_format(path: Path) -> Format:
    """The format of the file ``path``. Raises NotImportable if it is none of ours, or cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(len(_DATABASE)) == _DATABASE:
                return "llm"
            file.seek(0)
            for item in islice(read_objects(file), _ROWS):
                for format_, members in _MEMBERS.items():
                    if not isinstance(item, BadRow) and members <= item[1].keys():
                        return format_
    except OSError as exc:
        raise NotImportable(f"{path}: {exc.strerror}") from exc
    raise NotImportable(f"{path}: not known what this is; say it with --format {'|'.join(FORMATS)}")
