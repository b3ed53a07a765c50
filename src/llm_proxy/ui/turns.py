"""Turns of a conversation as the page shows them: rendered and coloured, until as much is rendered as a page bears."""

from dataclasses import dataclass

from markupsafe import Markup

from llm_proxy.ui import present
from llm_proxy.ui.conversation import Kind, Part, Turn
from llm_proxy.ui.picture import picture_name
from llm_proxy.ui.rendering import json_or_text, markdown, plain

#: Characters of one part until all is asked for; and then.
PART_CHARACTERS, ALL_CHARACTERS = 20_000, 20_000_000
#: Characters of Markdown rendered on one page; what is behind stands as it was written.
_RENDERED_CHARACTERS = 300_000
#: Of one image or sound; of an image, within a page that has an address for what is larger.
_MEDIA_CHARACTERS = 3_000_000
_WITHIN_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPart:
    """A part of a turn, ready for the page."""

    kind: str
    label: str
    html: Markup | None
    #: The data: URL of an image or a sound, or where an image is.
    url: str | None
    #: How many characters are not shown.
    hidden: int
    results: tuple["ShownPart", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTurn:
    """A turn, ready for the page."""

    role: str
    note: str | None
    answered: bool
    parts: tuple[ShownPart, ...]
    #: When it began, if that is known.
    at: str | None


class Rendering:
    """Turns into what the page shows of them, until as much is rendered as a page bears."""

    def __init__(self, *, raw: bool, limit: int, pictures_at: str | None = None) -> None:
        """``pictures_at``: what the name of an image follows in its address; None if none has one."""
        self._pictures_at = pictures_at
        self._raw = raw
        self._limit = limit
        self._left = _RENDERED_CHARACTERS

    def turn(self, turn: Turn) -> ShownTurn:
        """What the page shows of ``turn``."""
        return ShownTurn(
            role=present.visible(turn.role),
            note=turn.note and present.visible(turn.note),
            answered=turn.answered,
            parts=tuple(map(self._part, turn.parts)),
            at=None if turn.at_s is None else present.duration(turn.at_s),
        )

    def _part(self, part: Part) -> ShownPart:
        if part.kind in (Kind.IMAGE, Kind.AUDIO):
            size = present.size(len(part.text) * 3 // 4)
            return _part(part.kind.value, f"{part.kind.value}, {size}", url=self._url(part))
        text = part.text[: self._limit]
        label = present.visible(part.name or "") if part.name else part.kind.value
        return _part(
            part.kind.value.replace(" ", "-"),
            label,
            html=self._html(part.kind, text),
            hidden=len(part.text) - len(text),
            results=tuple(map(self._part, part.results)),
        )

    def _url(self, part: Part) -> str | None:
        if part.kind is Kind.IMAGE and self._pictures_at is not None and len(part.text) > _WITHIN_CHARACTERS:
            return self._pictures_at + picture_name(part.text)
        return part.text if len(part.text) <= _MEDIA_CHARACTERS else None

    def _html(self, kind: Kind, text: str) -> Markup:
        if self._raw or len(text) > self._left:
            return plain(text)
        self._left -= len(text)
        if kind in (Kind.TOOL_CALL, Kind.TOOL_RESULT, Kind.JSON):
            return json_or_text(text)
        return plain(text) if kind is Kind.ATTACHMENT else markdown(text)


def _part(
    kind: str,
    label: str,
    *,
    html: Markup | None = None,
    url: str | None = None,
    hidden: int = 0,
    results: tuple[ShownPart, ...] = (),
) -> ShownPart:
    return ShownPart(kind=kind, label=label, html=html, url=url, hidden=hidden, results=results)
