"""Rows as Helicone gives them out: by ``@helicone/export`` (JSONL, JSON, CSV) or its API ``/v1/request/query``.

The members are those of ``HeliconeRequest`` (packages/llm-mapper/types.ts of github.com/Helicone/helicone); older and
newer spellings are both read. Bodies are there only with ``--include-body``. Its CSV has few columns, names no request
id, and doubles the quotes in JSON once more than it must, which is undone here.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from llm_proxy.model.completion import Bodies, Completion, Context, JsonObject, JsonValue, Status, Usage
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.transfer import foreign
from llm_proxy.transfer.base import BadRow, Row
from llm_proxy.transfer.objects import Placed

SOURCE = "helicone"

#: By the end of a path, longest first.
_ENDPOINTS = {
    "/chat/completions": Endpoint.CHAT,
    "/completions": Endpoint.TEXT,
    "/embeddings": Endpoint.EMBEDDINGS,
    "/responses": Endpoint.RESPONSES,
}
_SESSION = ("Helicone-Session-Id", "Helicone-Session-Name")
#: What Helicone knows besides, and a record has no place for.
_FACTS = (
    "response_id",
    "cost",
    "costUSD",
    "country_code",
    "cache_enabled",
    "cache_reference_id",
    "prompt_id",
    "prompt_version",
    "feedback_rating",
    "scores",
)
#: Helicone's own statuses (web/components/templates/requests/statusBadge.tsx); 0 is an older one.
_PENDING = (0, -2)
_WITHOUT_ANSWER = {-1: Ending.UPSTREAM_TIMEOUT, -3: Ending.CLIENT_DISCONNECTED, -4: Ending.REFUSED}
_FIRST_STATUS = 100


def read_helicone(objects: Iterable[Placed | BadRow]) -> Iterator[Row]:
    """The record of each row, or why it is none."""
    for item in objects:
        yield item if isinstance(item, BadRow) else _row(*item)


def _row(place: str, row: JsonObject) -> Row:
    source_id = foreign.text(row.get("request_id")) or foreign.text(row.get("response_id"))
    started_at = foreign.moment(row.get("request_created_at"))
    if source_id is None:
        return BadRow(place=place, reason="no request_id")
    if started_at is None:
        return BadRow(place=place, reason="no time in request_created_at")
    return _completion(row, foreign.Origin(source=SOURCE, source_id=source_id, started_at=started_at))


def _completion(row: JsonObject, origin: foreign.Origin) -> Completion:
    request, response = _body(row.get("request_body")), _body(row.get("response_body"))
    status, ending, http_status = _outcome(row.get("response_status"))
    path = _path(row)
    endpoint = next((endpoint for end, endpoint in _ENDPOINTS.items() if path.endswith(end)), Endpoint.OTHER)
    failed = status is Status.FAILED
    error = _error(response) if failed else {}
    kind = foreign.text(error.get("type")) or foreign.text(error.get("code")) or str(ending or "unknown")
    provider = foreign.text(row.get("provider"))
    model = foreign.text(row.get("request_model")) or foreign.text(row.get("model"))
    return Completion(
        id=origin.new_id(),
        status=status,
        ending=ending,
        failure_kind=kind if failed else None,
        failure_reason=foreign.text(error.get("message")),
        http_status=http_status,
        provider=provider.lower() if provider else None,
        method="POST",
        path=path,
        endpoint=endpoint,
        kind=foreign.KINDS.get(endpoint),
        model=model,
        response_model=foreign.text(row.get("response_model")),
        stream=foreign.stream_of(request),
        context=_context(row, origin),
        started_at=origin.started_at,
        duration_s=foreign.seconds(row.get("delay_ms") or row.get("latency")),
        ttft_s=foreign.seconds(row.get("time_to_first_token")),
        usage=_usage(row, response),
        cost=foreign.cost_of(row.get("costUSD")),
        finish_reasons=foreign.finish_reasons_of(response),
        preview=foreign.preview_of(request, response),
        bodies=Bodies(request=request, response=response),
    )


def _body(value: JsonValue) -> JsonValue:
    """A body, which is JSON, or JSON as text, or that with its quotes doubled."""
    body = foreign.parsed(value)
    doubled = isinstance(body, str) and body.startswith(('{""', '[{""'))
    return foreign.parsed(str(body).replace('""', '"')) if doubled else body


def _outcome(status: JsonValue) -> tuple[Status, Ending | None, int | None]:
    try:
        code = int(status) if isinstance(status, str | int | float) else 0
    except (ValueError, OverflowError):
        code = 0
    if code in _PENDING:
        return Status.STARTED, None, None
    if code < _FIRST_STATUS:
        return Status.FAILED, _WITHOUT_ANSWER.get(code), None
    return (Status.FINISHED, Ending.COMPLETE, code) if code < 400 else (Status.FAILED, Ending.UPSTREAM_ERROR, code)


def _path(row: JsonObject) -> str:
    url = foreign.text(row.get("request_path")) or foreign.text(row.get("target_url")) or ""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _error(response: JsonValue) -> JsonObject:
    error = response.get("error") if isinstance(response, dict) else None
    return {"message": error} if isinstance(error, str) else foreign.object_of(error)


def _context(row: JsonObject, origin: foreign.Origin) -> Context:
    properties = _properties(row.get("request_properties")) or _properties(row.get("properties"))
    session_id, session_name = (foreign.text(properties.get(name)) for name in _SESSION)
    return origin.context(
        facts={name: row.get(name) for name in _FACTS},
        session_id=session_id,
        session_name=session_name,
        user_id=foreign.text(row.get("request_user_id")),
        metadata={name: value for name, value in properties.items() if name not in _SESSION},
    )


def _properties(value: JsonValue) -> JsonObject:
    body = _body(value)
    return body if isinstance(body, dict) else {}


def _usage(row: JsonObject, response: JsonValue) -> Usage | None:
    """As the provider told it in its answer, or else as Helicone counted."""
    told = foreign.object_of(response.get("usage")) if isinstance(response, dict) else {}
    if told:
        return foreign.usage_of(told)
    counted = {name: row[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens") if row.get(name)}
    if counted and (cached := foreign.count(row.get("prompt_cache_read_tokens"))):
        counted["prompt_tokens_details"] = {"cached_tokens": cached}
    return foreign.usage_of(counted)
