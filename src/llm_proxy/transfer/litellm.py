"""Rows of LiteLLM's table ``LiteLLM_SpendLogs``: as JSON of ``/spend/logs`` or of the table, or as CSV by ``COPY``.

The columns are those of schema.prisma and get_logging_payload of github.com/BerriAI/litellm. Prompts and answers are in
the table only with ``store_prompts_in_spend_logs``, and long texts in them are cut; such a record is ``truncated``.
LiteLLM writes 0 and "" for what it does not know: tokens are unknown where all of them are 0.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from llm_proxy.model.completion import Bodies, Completion, Context, JsonObject, JsonValue, Status, Usage
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.json_text import encode_json
from llm_proxy.transfer import foreign
from llm_proxy.transfer.base import BadRow, Row
from llm_proxy.transfer.objects import Placed

SOURCE = "litellm"

#: By ``call_type`` without the a of asynchronous.
_ENDPOINTS = {
    "completion": Endpoint.CHAT,
    "text_completion": Endpoint.TEXT,
    "embedding": Endpoint.EMBEDDINGS,
    "responses": Endpoint.RESPONSES,
}
#: What LiteLLM knows besides, and a record has no place for.
_FACTS = (
    "call_type",
    "spend",
    "api_base",
    "model_id",
    "cache_hit",
    "team_id",
    "organization_id",
    "user",
    "end_user",
    "agent_id",
    "mcp_namespaced_tool_name",
)
#: Members of a request in which LiteLLM lets a client pass a secret.
_SECRET = ("api_key", "secret_access_key", "access_key_id", "session_token", "ad_token", "credentials", "client_secret")
#: LiteLLM writes it where it cut a text (LITELLM_TRUNCATED_PAYLOAD_FIELD).
_CUT = b"litellm_truncated"


def read_litellm(objects: Iterable[Placed | BadRow]) -> Iterator[Row]:
    """The record of each row, or why it is none."""
    for item in objects:
        yield item if isinstance(item, BadRow) else _row(*item)


def _row(place: str, row: JsonObject) -> Row:
    source_id, started_at = foreign.text(row.get("request_id")), foreign.moment(row.get("startTime"))
    if source_id is None:
        return BadRow(place=place, reason="no request_id")
    if started_at is None:
        return BadRow(place=place, reason="no time in startTime")
    return _completion(row, foreign.Origin(source=SOURCE, source_id=source_id, started_at=started_at))


def _completion(row: JsonObject, origin: foreign.Origin) -> Completion:
    metadata = foreign.object_of(row.get("metadata"))
    request, response = _request(row), foreign.parsed(row.get("response"))
    endpoint = _ENDPOINTS.get((foreign.text(row.get("call_type")) or "").removeprefix("a"), Endpoint.OTHER)
    model = foreign.text(row.get("model"))
    failed = "failure" in (row.get("status"), metadata.get("status"))
    error = foreign.object_of(metadata.get("error_information")) if failed else {}
    duration_s, ttft_s = _durations(row, origin.started_at)
    return Completion(
        id=origin.new_id(),
        status=Status.FAILED if failed else Status.FINISHED,
        ending=None if failed else Ending.COMPLETE,
        failure_kind=foreign.text(error.get("error_class")) or "unknown" if failed else None,
        failure_reason=foreign.text(error.get("error_message")),
        http_status=_http_status(error.get("error_code")),
        provider=foreign.text(row.get("custom_llm_provider")),
        method="POST",
        path=foreign.PATHS.get(endpoint, ""),
        endpoint=endpoint,
        kind=foreign.KINDS.get(endpoint),
        model=foreign.text(row.get("model_group")) or model,
        response_model=foreign.text(response.get("model") if isinstance(response, dict) else None) or model,
        stream=foreign.stream_of(request),
        context=_context(row, metadata, origin),
        client=foreign.text(row.get("requester_ip_address")),
        started_at=origin.started_at,
        duration_s=duration_s,
        ttft_s=ttft_s,
        usage=_usage(row, metadata, response),
        cost=foreign.cost_of(row.get("spend")),
        finish_reasons=foreign.finish_reasons_of(response),
        preview=foreign.preview_of(request, response),
        truncated=any(_CUT in encode_json(body) for body in (request, response)),
        bodies=Bodies(request=request, response=response),
    )


def _request(row: JsonObject) -> JsonValue:
    """What the client sent, without secrets; of older versions, the messages."""
    request = foreign.object_of(row.get("proxy_server_request"))
    if "url" in request and "body" in request:
        request = foreign.object_of(request["body"])
    if not request and (messages := foreign.parsed(row.get("messages"))):
        request = {"model": row.get("model_group") or row.get("model"), "messages": messages}
    return {name: value for name, value in request.items() if not name.endswith(_SECRET)} or None


def _durations(row: JsonObject, started_at: datetime) -> tuple[float | None, float | None]:
    ended_at, first_at = foreign.moment(row.get("endTime")), foreign.moment(row.get("completionStartTime"))
    told = foreign.seconds(row.get("request_duration_ms"))
    duration_s = _since(started_at, ended_at) if told is None else told
    # Without a stream, LiteLLM writes the end of the call as its beginning.
    return duration_s, None if first_at == ended_at else _since(started_at, first_at)


def _since(started_at: datetime, time: datetime | None) -> float | None:
    return None if time is None or time < started_at else (time - started_at).total_seconds()


def _http_status(code: JsonValue) -> int | None:
    status = foreign.count(code)
    return status if status is not None and 100 <= status <= 599 else None


def _context(row: JsonObject, metadata: JsonObject, origin: foreign.Origin) -> Context:
    tags = foreign.parsed(row.get("request_tags"))
    known = {name: row.get(name) for name in _FACTS} | {
        # Some providers take the key as part of the query.
        "api_base": (foreign.text(row.get("api_base")) or "").partition("?")[0],
        "key_alias": metadata.get("user_api_key_alias"),
        "team_alias": metadata.get("user_api_key_team_alias"),
    }
    cost = known.pop("spend")
    return origin.context(
        facts=known | {"cost_usd": cost if cost not in (0, "0", "0.0") else None},
        tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else (),
        session_id=foreign.text(row.get("session_id")),
        user_id=foreign.text(row.get("end_user")) or foreign.text(row.get("user")),
        metadata=foreign.object_of(metadata.get("spend_logs_metadata")),
    )


def _usage(row: JsonObject, metadata: JsonObject, response: JsonValue) -> Usage | None:
    """As the provider told it, or else as LiteLLM counted."""
    told = foreign.object_of(metadata.get("usage_object"))
    told = told or foreign.object_of(response.get("usage") if isinstance(response, dict) else None)
    if told:
        return foreign.usage_of(told)
    counted = {name: foreign.count(row.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    return foreign.usage_of(dict(counted)) if any(counted.values()) else None
