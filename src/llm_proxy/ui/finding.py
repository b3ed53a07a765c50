"""What stands around the list of calls: suggestions for its filter, and its calls in time."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from llm_proxy.model.account import Principal
from llm_proxy.model.filter_words import GROUP_WORDS, NOT, STATUSES, WORDS, Known
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.query import Attribute
from llm_proxy.store.base import Findings
from llm_proxy.ui import present
from llm_proxy.ui.calls import href
from llm_proxy.ui.histogram import HEIGHT, WIDTH, drawn, span
from llm_proxy.ui.reach import asked
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import fragment

_SUGGESTED = 10
#: How long to count what no sum tells, in seconds.
_PATIENCE_S = 0.3
#: How long to count what has a text, which is to read it, in seconds.
_READING_S = 1.0
#: Of which there are values to suggest.
_FOUND: frozenset[str] = frozenset(
    {
        Attribute.MODEL, Attribute.TAG, Attribute.USER, Attribute.SESSION, Attribute.TRACE, Attribute.PROVIDER,
        Attribute.UPSTREAM, Attribute.KEY, Attribute.ENDPOINT, Attribute.ENDING, Attribute.ERROR, Attribute.HTTP,
        Attribute.PROJECT,
    }
)  # fmt: skip
#: Of what has no values, some that make sense.
_EXAMPLES = {
    "status": tuple(status for status in STATUSES if status != "started"),
    "latency": (">1s", ">5s", ">30s", "<500ms"),
    "ttft": (">500ms", ">2s"),
    "tokens": (">1k", ">10k"),
    "input": (">1k", ">10k"),
    "output": (">1k", "<10"),
    "cost": (">0.01", ">0.1", ">1"),
    "calls": (">1", ">10", ">100"),
    "since": ("15m", "1h", "24h", "7d"),
    "until": ("1h", "24h"),
}
#: Ranges of time that are one click away.
_RANGES = ("15m", "1h", "24h", "7d")


def table(findings: Findings) -> Table:
    """What is asked for where."""
    return {
        "/suggest": looks(partial(_suggest, findings), by_project=True),
        "/histogram": looks(partial(_histogram, findings), by_project=True),
    }


async def _suggest(findings: Findings, request: Request, principal: Principal) -> ASGIApp:
    """What the word that is being written may go on with, as JSON: text, and what it means."""
    written = request.query_params.get("word", "")[:200]
    key, colon, value = written.partition(":")
    bare = key.removeprefix(NOT)
    words = GROUP_WORDS if request.query_params.get("of") == "groups" else WORDS
    if not colon:
        return JSONResponse(list(_words(words, key, bare)))
    if bare not in words:
        return JSONResponse([])
    value = value.strip('"')
    if bare in _FOUND:
        owner, project = principal.organization_id, principal.project_id
        values = await findings.values(owner, Attribute(bare), value, project_id=project, limit=_SUGGESTED)
    else:
        values = [example for example in _EXAMPLES.get(bare, ()) if example.startswith(value)]
    return JSONResponse([{"text": str(Filter(((key, one),))), "about": ""} for one in values if one])


def _words(words: Mapping[str, Known], key: str, bare: str) -> Iterator[dict[str, str]]:
    turned = key[: len(key) - len(bare)]
    for word, known in words.items():
        if word.startswith(bare) and (not turned or known.turns_round):
            yield {"text": f"{turned}{word}:", "about": known.meaning.replace("`", "")}


async def _histogram(findings: Findings, request: Request, principal: Principal) -> ASGIApp:
    """The calls of a list in time, as a part of its page."""
    now = datetime.now(UTC)
    try:
        found = parse(request.query_params.get("q", ""), now=now)
    except ValueError:
        return Response(b"", media_type="text/html")
    query = asked(principal, found, now=now)
    since = query.since or await findings.first_at(principal.organization_id, project_id=principal.project_id)
    until = min(query.until or now, now)
    if since is None or since >= until:
        return Response(b"", media_type="text/html")
    start, end, parts = span(since, until)
    patience_s = _PATIENCE_S if query.search is None else _READING_S
    buckets = await findings.histogram(query, start, end, count=parts, patience_s=patience_s)
    picture = drawn(buckets, end)
    return Response(
        fragment(
            "histogram.html",
            histogram=picture,
            counted_since=None if picture.counted_since is None else present.time(picture.counted_since),
            axis=(WIDTH, HEIGHT),
            start=present.time(start),
            end=present.time(end),
            base=str(found.without("since", "until")),
            ranges=[(ago, href(found.without("until").also("since", ago))) for ago in _RANGES],
            everything=href(found.without("since", "until")) if found.value("since") or found.value("until") else None,
        ),
        media_type="text/html",
    )
