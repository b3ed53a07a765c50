"""One call: what was said, where its time went, why it failed, its bytes, and how to make it again.

Of long conversations and texts the page has a part, and a link to the whole; a body of 10 MB costs what its part costs.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Bodies, Completion
from llm_proxy.model.exchange import RecordedHeaders
from llm_proxy.model.query import CompletionQuery, Cursor
from llm_proxy.store.base import Store
from llm_proxy.ui import present
from llm_proxy.ui.calls import call_href, session_href
from llm_proxy.ui.conversation import Kind, Part, Turn, conversation
from llm_proxy.ui.explain import explain
from llm_proxy.ui.rendering import json_or_text, markdown, plain
from llm_proxy.ui.snippets import snippets
from llm_proxy.ui.templating import base_url, page, problem
from llm_proxy.ui.waterfall import HEIGHT, WIDTH, waterfall

#: Characters of a body on its page: more is slow to render and nobody scrolls there; the file has the rest.
SHOWN_CHARACTERS = 200_000
#: Turns that are shown of a longer conversation: its beginning and its end.
FIRST_TURNS, LAST_TURNS = 2, 20
#: Characters of one part, and of one image, until all is asked for; and then.
PART_CHARACTERS, ALL_CHARACTERS = 20_000, 20_000_000
#: Characters of Markdown rendered on one page; what is behind stands as it was written.
_RENDERED_CHARACTERS = 300_000
_IMAGE_CHARACTERS = 3_000_000
_EXTENSIONS = {"gzip": ".gz", "br": ".br", "zstd": ".zst", "deflate": ".deflate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPart:
    """A part of a turn, ready for the page."""

    kind: str
    label: str
    html: Markup | None
    #: An image's data: URL.
    image: str | None
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


async def call(store: Store, request: Request, principal: Principal) -> Response:
    """The page of a call, or the bytes of one of its bodies as a file."""
    completion_id: str = request.path_params["completion_id"]
    completion = await store.get(completion_id, principal.organization_id)
    if completion is None:
        return problem(404, "Not found", f"There is no call {present.visible(completion_id)}.")
    if wanted := request.query_params.get("download"):
        return _file(completion, wanted)
    before, after = await _neighbours(store, completion)
    # In a thread: while a long conversation is rendered, others are answered.
    return await asyncio.to_thread(_shown, request, completion, before, after)


def _shown(request: Request, completion: Completion, before: str | None, after: str | None) -> Response:
    bodies = completion.bodies or Bodies()
    raw, everything = request.query_params.get("view") == "raw", "all" in request.query_params
    turns = conversation(bodies.request, bodies.response)
    shown = (
        turns
        if everything or len(turns) <= FIRST_TURNS + LAST_TURNS + 1
        else (*turns[:FIRST_TURNS], *turns[-LAST_TURNS:])
    )
    rendering = _Rendering(raw=raw, limit=ALL_CHARACTERS if everything else PART_CHARACTERS)
    here = call_href(completion.id)
    sent = present.body(bodies.request, bodies.request_body, bodies.request_headers, limit=SHOWN_CHARACTERS)
    answered = present.body(bodies.response, bodies.response_body, bodies.response_headers, limit=SHOWN_CHARACTERS)
    return page(
        "call.html",
        row=present.row(completion),
        explained=explain(completion),
        turns=[rendering.turn(turn) for turn in shown],
        left_out=len(turns) - len(shown),
        left_out_after=FIRST_TURNS,
        here=here,
        raw=raw,
        other_view=here + _query(view=None if raw else "raw", all="1" if everything else None),
        all_href=here + _query(view="raw" if raw else None, all="1"),
        lanes=waterfall(completion, bodies.chunks),
        axis=(WIDTH, HEIGHT),
        sections=present.sections(completion),
        bodies=(
            ("Request", sent, bodies.request_body is not None and here + _query(download="request")),
            ("Response", answered, bodies.response_body is not None and here + _query(download="response")),
        ),
        snippets=snippets(completion, bodies.request, base_url(request)),
        before=before and call_href(before),
        after=after and call_href(after),
        session=completion.context.session_id and session_href(completion.context.session_id),
    )


def _ends(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The beginning and the end of a conversation that is long."""
    is_long = len(turns) > FIRST_TURNS + LAST_TURNS + 1
    return (*turns[:FIRST_TURNS], *turns[-LAST_TURNS:]) if is_long else turns


class _Rendering:
    """Turns into what the page shows of them, until as much is rendered as a page bears."""

    def __init__(self, *, raw: bool, limit: int) -> None:
        self._raw = raw
        self._limit = limit
        self._left = _RENDERED_CHARACTERS

    def turn(self, turn: Turn) -> ShownTurn:
        return ShownTurn(
            role=present.visible(turn.role),
            note=turn.note and present.visible(turn.note),
            answered=turn.answered,
            parts=tuple(map(self._part, turn.parts)),
        )

    def _part(self, part: Part) -> ShownPart:
        image = part.text if part.kind is Kind.IMAGE and len(part.text) <= _IMAGE_CHARACTERS else None
        if part.kind is Kind.IMAGE:
            size = present.size(len(part.text) * 3 // 4)
            return _part("image", f"image, {size}", image=image)
        text = part.text[: self._limit]
        label = present.visible(part.name or "") if part.name else part.kind.value
        return _part(
            part.kind.value.replace(" ", "-"),
            label,
            html=self._html(part.kind, text),
            hidden=len(part.text) - len(text),
            results=tuple(map(self._part, part.results)),
        )

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
    image: str | None = None,
    hidden: int = 0,
    results: tuple[ShownPart, ...] = (),
) -> ShownPart:
    return ShownPart(kind=kind, label=label, html=html, image=image, hidden=hidden, results=results)


async def _neighbours(store: Store, completion: Completion) -> tuple[str | None, str | None]:
    """The ids of the call before and the one after in the session; None where there is none."""
    session, organization = completion.context.session_id, completion.organization_id
    if session is None:
        return None, None
    here = Cursor(started_at=completion.started_at, id=completion.id)
    before = CompletionQuery(organization_id=organization, session_id=session, after=here, limit=1)
    found = [(await store.find(query)).completions for query in (before, replace(before, oldest_first=True))]
    earlier, later = (completions[0].id if completions else None for completions in found)
    return earlier, later


def _file(completion: Completion, wanted: str) -> Response:
    """The bytes of the wire as a file that no browser shows."""
    bodies = completion.bodies or Bodies()
    content, headers = (
        (bodies.request_body, bodies.request_headers)
        if wanted == "request"
        else (bodies.response_body, bodies.response_headers)
    )
    if wanted not in ("request", "response") or content is None:
        return problem(404, "Not found", "No such body was recorded.")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", completion.id)[:100] + f".{wanted}{_extension(headers)}"
    return Response(
        content,
        media_type="application/octet-stream",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _extension(headers: RecordedHeaders) -> str:
    named = {name.lower(): (value or "").lower() for name, value in headers}
    media_type = named.get("content-type", "")
    kind = ".sse" if "event-stream" in media_type else ".json" if "json" in media_type else ".bin"
    return kind + "".join(_codings(named.get("content-encoding", "")))


def _codings(encoding: str) -> Iterator[str]:
    for coding in encoding.split(","):
        if coding.strip() in _EXTENSIONS:
            yield _EXTENSIONS[coding.strip()]


def _query(**parameters: str | None) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""
