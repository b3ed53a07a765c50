"""Exchange → Completion: decode the bytes, find out whose call it was, say how it ended. Pure; never fails."""

from typing import TypedDict

from msgspec.structs import replace

from llm_proxy.attribution.context import attribute
from llm_proxy.attribution.conversation import turns_of
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.estimate import estimated_usage
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Bodies, Completion, Context, Decoded, Status
from llm_proxy.model.exchange import Ending, Exchange


def understand(exchange: Exchange, *, harmful: str | None = None, estimates: bool = False) -> Completion:
    """The record of ``exchange``, with its bodies; they are not looked into if it is said why that does harm.

    With ``estimates``, tokens that nobody has counted are estimated by the text.
    """
    decoded = decode(exchange) if harmful is None else Decoded(problem=harmful)
    decoded = _with_estimate(exchange, decoded) if estimates and decoded.usage is None else decoded
    status, failure_kind, failure_reason = _outcome(exchange, decoded)
    context = _context(exchange, decoded)
    told = context.session_id is not None
    return Completion(
        id=exchange.id,
        organization_id=exchange.organization_id or DEFAULT_ORGANIZATION,
        status=status,
        ending=exchange.ending,
        failure_kind=failure_kind,
        failure_reason=failure_reason,
        http_status=exchange.http_status,
        provider=exchange.provider,
        upstream=exchange.upstream,
        method=exchange.method,
        path=exchange.target,
        endpoint=exchange.endpoint,
        kind=decoded.kind,
        model=decoded.model,
        response_model=decoded.response_model,
        stream=decoded.stream,
        context=context,
        client=exchange.client,
        key_fingerprint=exchange.key_fingerprint,
        project_id=exchange.project_id,
        key_id=exchange.key_id,
        started_at=exchange.started_at,
        duration_s=exchange.ended_s,
        ttfb_s=exchange.first_byte_s,
        ttft_s=decoded.first_token_s,
        connect_s=exchange.connect_s,
        **_steps(exchange),
        longest_gap_s=exchange.chunks.longest_gap_s,
        chunk_count=len(exchange.chunks.sizes) if exchange.http_status is not None else None,
        usage=decoded.usage,
        finish_reasons=decoded.finish_reasons,
        preview=None if _wants_no_log(decoded) else decoded.preview,
        request_bytes=exchange.request_bytes,
        response_bytes=exchange.response_bytes,
        truncated=exchange.truncated,
        decode_problem=decoded.problem,
        turns=None if told else turns_of(exchange.endpoint, decoded.request, decoded.response),
        bodies=_bodies(exchange, decoded),
    )


class _Steps(TypedDict):
    sent_s: float | None
    overhead_s: float | None
    queued_s: float | None
    dns_s: float | None
    tcp_s: float | None
    tls_s: float | None


def _steps(exchange: Exchange) -> _Steps:
    return {
        "sent_s": exchange.sent_s,
        "overhead_s": exchange.overhead_s,
        "queued_s": exchange.queued_s,
        "dns_s": exchange.dns_s,
        "tcp_s": exchange.tcp_s,
        "tls_s": exchange.tls_s,
    }


def _with_estimate(exchange: Exchange, decoded: Decoded) -> Decoded:
    """With its tokens, if all text of it is known; what was cut off counts as far as it had come."""
    answered = exchange.ending is not None and exchange.http_status is not None and exchange.http_status < 400
    if not answered or exchange.method != "POST" or exchange.truncated or decoded.problem is not None:
        return decoded
    return replace(decoded, usage=estimated_usage(exchange.endpoint, decoded.request, decoded.response))


def _wants_no_log(decoded: Decoded) -> bool:
    """Whether the body asks for no log, as LiteLLM takes it; the proxy reads no body, so it is found out only here."""
    return isinstance(decoded.request, dict) and decoded.request.get("no-log") is True


def _bodies(exchange: Exchange, decoded: Decoded) -> Bodies:
    if _wants_no_log(decoded):
        return Bodies(request_headers=exchange.request_headers, response_headers=exchange.response_headers)
    return Bodies(
        request_headers=exchange.request_headers,
        response_headers=exchange.response_headers,
        request_body=exchange.request_body,
        response_body=exchange.response_body,
        request=decoded.request,
        response=decoded.response,
        chunks=exchange.chunks,
        attempts=exchange.attempts,
        sent=exchange.sent,
    )


def _context(exchange: Exchange, decoded: Decoded) -> Context:
    context = attribute(exchange.request_headers, exchange.path_context, decoded.request)
    if _wants_no_log(decoded):
        context = replace(context, notes=(*context.notes, "no-log in the body: the bodies were left out"))
    return replace(context, tags=tuple(dict.fromkeys([*context.tags, *exchange.tags]))) if exchange.tags else context


def _outcome(exchange: Exchange, decoded: Decoded) -> tuple[Status, str | None, str | None]:
    """Status, and what failed and why; an error inside an answer of status 200 is a failure, too.

    A client that leaves at the end mark of a stream, before the connection says that it is over, had a complete answer.
    """
    if exchange.ending is None:
        return Status.STARTED, None, None
    error = decoded.error
    left_at_the_end = exchange.ending is Ending.CLIENT_DISCONNECTED and decoded.stream_ended is True
    if (exchange.ending is Ending.COMPLETE or left_at_the_end) and error is None:
        return Status.FINISHED, None, None
    answered = exchange.ending in (Ending.COMPLETE, Ending.UPSTREAM_ERROR)
    # An error of another ending is in an answer of our own, or not what ended the call.
    kind = (error.kind if error and answered else None) or _failure_kind(exchange.ending)
    reason = exchange.reason or (error.message if error else None)
    if reason is None and answered and exchange.http_status is not None:
        reason = f"the upstream answered with status {exchange.http_status}"
    return Status.FAILED, kind, reason


def _failure_kind(ending: Ending) -> str:
    return "upstream_error" if ending is Ending.COMPLETE else str(ending)
