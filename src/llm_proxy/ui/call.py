"""One call: what was said, where its time went, why it failed, its bytes, and how to make it again.

Of long conversations and texts the page has a part, and a link to the whole; a body of 10 MB costs what its part costs.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from llm_proxy.decode.replay import replayed
from llm_proxy.decode.socket_events import json_lines, session_events
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Bodies, Completion
from llm_proxy.model.exchange import RecordedHeaders
from llm_proxy.model.query import Cursor
from llm_proxy.store.base import Store
from llm_proxy.ui import present
from llm_proxy.ui.again import RESEND_OF
from llm_proxy.ui.calls import again_href, call_href, feedback_href, session_href, trace_href
from llm_proxy.ui.conversation import Kind, Turn, conversation
from llm_proxy.ui.explain import explain
from llm_proxy.ui.picture import picture_file
from llm_proxy.ui.reach import call_of, calls_of
from llm_proxy.ui.snippets import snippets
from llm_proxy.ui.socket import FIRST_EVENTS, PAGE_EVENTS, asked_first, is_session, part_of, session_facts
from llm_proxy.ui.sound import answered_sound
from llm_proxy.ui.templating import base_url, page, problem
from llm_proxy.ui.turns import ALL_CHARACTERS, PART_CHARACTERS, Rendering
from llm_proxy.ui.waterfall import HEIGHT, WIDTH, waterfall

#: Characters of a body on its page: more is slow to render and nobody scrolls there; the file has the rest.
SHOWN_CHARACTERS = 200_000
#: Turns that are shown of a longer conversation: its beginning and its end.
FIRST_TURNS, LAST_TURNS = 2, 20
_EXTENSIONS = {"gzip": ".gz", "br": ".br", "zstd": ".zst", "deflate": ".deflate"}


async def call(store: Store, request: Request, principal: Principal) -> Response:
    """The page of a call, or the bytes of one of its bodies as a file."""
    completion_id: str = request.path_params["completion_id"]
    completion = await call_of(store, completion_id, principal)
    if completion is None:
        return problem(404, "Not found", f"There is no call {present.visible(completion_id)}.")
    return await call_page(store, request, completion, principal=principal)


async def call_page(
    store: Store,
    request: Request,
    completion: Completion,
    *,
    principal: Principal | None = None,
    shared_at: str = "",
) -> Response:
    """What is asked for of a call; without a principal it is shared at that path, and nothing leads elsewhere."""
    here = shared_at or call_href(completion.id)
    if wanted := request.query_params.get("download"):
        return _file(completion, wanted)
    if (first := request.query_params.get("events")) is not None and is_session(completion):
        part = await asyncio.to_thread(part_of, completion, here, first=asked_first(first), count=PAGE_EVENTS)
        return page("events.html", row=present.row(completion), part=part, call_href=here)
    if name := request.query_params.get("picture"):
        return await asyncio.to_thread(_picture, completion, name)
    if "replay" in request.query_params:
        beats = await asyncio.to_thread(replayed, completion.bodies or Bodies())
        return JSONResponse([asdict(beat) for beat in beats])
    before, after = (None, None) if principal is None else await _neighbours(store, completion, principal)
    previous = None if before is None else await store.get(before, completion.organization_id)
    # In a thread: while a long conversation is rendered, others are answered.
    return await asyncio.to_thread(_shown, request, completion, previous, _Around(here, after, principal is None))


@dataclass(frozen=True, slots=True)
class _Around:
    """Where a call is shown, and what leads elsewhere."""

    here: str
    after: str | None
    is_shared: bool


def _shown(request: Request, completion: Completion, previous: Completion | None, around: _Around) -> Response:
    bodies = completion.bodies or Bodies()
    before = previous.id if previous else None
    raw, everything = request.query_params.get("view") == "raw", "all" in request.query_params
    turns = conversation(bodies.request, bodies.response)
    folded = 0 if previous is None or everything else _said_before(previous, turns)
    rest = turns[folded:]
    shown = (
        rest if everything or len(rest) <= FIRST_TURNS + LAST_TURNS + 1 else (*rest[:FIRST_TURNS], *rest[-LAST_TURNS:])
    )
    here = around.here
    limit = ALL_CHARACTERS if everything else PART_CHARACTERS
    rendering = Rendering(raw=raw, limit=limit, pictures_at=here + _query(picture=""))
    sent = present.body(bodies.request, bodies.request_body, bodies.request_headers, limit=SHOWN_CHARACTERS)
    answered = present.body(bodies.response, bodies.response_body, bodies.response_headers, limit=SHOWN_CHARACTERS)
    return page(
        "call.html",
        row=present.row(completion),
        explained=explain(completion),
        turns=[rendering.turn(turn) for turn in shown],
        folded=folded,
        left_out=len(rest) - len(shown),
        left_out_after=FIRST_TURNS,
        **({"is_shared": True} if around.is_shared else _elsewhere(completion, before, around.after)),
        replay_href=here + _query(replay="1"),
        raw=raw,
        other_view=here + _query(view=None if raw else "raw", all="1" if everything else None),
        all_href=here + _query(view="raw" if raw else None, all="1"),
        lanes=waterfall(completion, bodies.chunks, bodies.attempts),
        axis=(WIDTH, HEIGHT),
        streamed=len(bodies.chunks.times_us) > 1 and completion.stream is not False,
        sound=answered_sound(completion),
        sections=[*filter(None, [session_facts(completion)]), *present.sections(completion)],
        events=part_of(completion, here, first=0, count=FIRST_EVENTS) if is_session(completion) else None,
        events_href=here + _query(events="0"),
        bodies=(
            ("Request", sent, bodies.request_body is not None and here + _query(download="request")),
            ("Response", answered, bodies.response_body is not None and here + _query(download="response")),
        ),
        snippets=snippets(completion, bodies.request, base_url(request)),
    )


def _elsewhere(completion: Completion, before: str | None, after: str | None) -> dict[str, object]:
    """Where the page leads; of a call that is shared, nowhere."""
    is_posted = completion.method == "POST" and isinstance((completion.bodies or Bodies()).request, dict)
    context = completion.context
    return {
        "is_shared": False,
        "feedback": feedback_href("call", completion.id),
        "again": again_href(completion.id) if is_posted else None,
        "original": _original(completion),
        "trace": context.trace_id and trace_href(context.trace_id),
        "compare_href": before and f"/compare?{urlencode({'a': before, 'b': completion.id}, errors='replace')}",
        "before": before and call_href(before),
        "after": after and call_href(after),
        "session": context.session_id and session_href(context.session_id),
        "share_target": completion.id,
    }


def _original(completion: Completion) -> tuple[str, str] | None:
    """Of a call that was sent again: the page of the first one, and that of both side by side."""
    original = completion.context.metadata.get(RESEND_OF)
    if not isinstance(original, str) or not original:
        return None
    return call_href(original), f"/compare?{urlencode({'a': original, 'b': completion.id}, errors='replace')}"


def _said_before(previous: Completion, turns: tuple[Turn, ...]) -> int:
    """How many turns the call before in the session had, too, from the first one on; its answer is one of them."""
    bodies = previous.bodies or Bodies()
    same = 0
    for one, other in zip(conversation(bodies.request, bodies.response), turns, strict=False):
        if other.answered or (one.role, _words(one)) != (other.role, _words(other)):
            break
        same += 1
    return same


def _words(turn: Turn) -> list[tuple[str, ...]]:
    """What was said, and what tools came to, which is new where only their call was there before."""
    return [(part.kind.value, part.text.strip(), *(result.text for result in part.results)) for part in turn.parts]


async def _neighbours(store: Store, completion: Completion, principal: Principal) -> tuple[str | None, str | None]:
    """The ids of the call before and the one after in the session; None where there is none."""
    session = completion.context.session_id
    if session is None:
        return None, None
    here = Cursor(started_at=completion.started_at, id=completion.id)
    before = replace(calls_of(principal, session_id=session, limit=1), after=here)
    found = [(await store.find(query)).completions for query in (before, replace(before, oldest_first=True))]
    earlier, later = (completions[0].id if completions else None for completions in found)
    return earlier, later


def _file(completion: Completion, wanted: str) -> Response:
    """The bytes of the wire as a file that no browser shows, or the events in them."""
    bodies = completion.bodies or Bodies()
    safe_id = re.sub(r"[^A-Za-z0-9._-]", "_", completion.id)[:100]
    if wanted == "events" and is_session(completion):
        return StreamingResponse(json_lines(session_events(bodies)), headers=_as_file(f"{safe_id}.events.jsonl"))
    content, headers = (
        (bodies.request_body, bodies.request_headers)
        if wanted == "request"
        else (bodies.response_body, bodies.response_headers)
    )
    if wanted not in ("request", "response") or content is None:
        return problem(404, "Not found", "No such body was recorded.")
    return Response(content, headers=_as_file(f"{safe_id}.{wanted}{_extension(headers)}"))


def _picture(completion: Completion, name: str) -> Response:
    """An image of what was said, by its name."""
    bodies = completion.bodies or Bodies()
    parts = (part for turn in conversation(bodies.request, bodies.response) for part in turn.parts)
    found = picture_file((part.text for part in parts if part.kind is Kind.IMAGE), name)
    return found or problem(404, "Not found", "There is no such image in this call.")


def _as_file(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "content-type": "application/octet-stream"}


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
