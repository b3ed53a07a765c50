"""Tags that somebody has changed by hand stay, whatever comes later of the call: its end, or what was there once more.

Only who changes tags by hand says so (``Completion.tags_edited``) and replaces them.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from msgspec.structs import replace

from llm_proxy.model.json_text import decode_json
from llm_proxy.store.rows import Rows, restored, storable
from llm_proxy.store.sql import completions

#: Of some ids, the tags of those whose tags were changed by hand; the ids are a JSON list, or an array.
EDITED_IN_SQLITE = "SELECT id, tags FROM completions WHERE tags_edited AND id IN (SELECT value FROM json_each(?))"
EDITED_IN_POSTGRES = "SELECT id, tags FROM completions WHERE tags_edited AND id = ANY(%s)"

_COLUMNS = [column.name for column in completions.columns if column is not completions.c.change]
_TAGS, _EDITED = _COLUMNS.index("tags"), _COLUMNS.index("tags_edited")
_STARTED_AT = _COLUMNS.index("started_at_us")


def with_edited_tags(batch: Sequence[Rows], edited: Iterable[tuple[str, str | None]]) -> list[Rows]:
    """The rows with those tags in place of their own, unless these are changed by hand as well."""
    kept = dict(edited)
    return [_kept(rows, kept[rows.id]) if rows.id in kept and not rows.completion[_EDITED] else rows for rows in batch]


def _kept(rows: Rows, tags: str | None) -> Rows:
    completion = list(rows.completion)
    completion[_TAGS], completion[_EDITED] = tags, True
    named = [] if tags is None else cast("list[str]", decode_json(restored(tags).encode()))
    owner, started_at = rows.organization_id, rows.completion[_STARTED_AT]
    return replace(
        rows, completion=tuple(completion), tags=tuple((rows.id, storable(tag), owner, started_at) for tag in named)
    )
