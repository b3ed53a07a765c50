"""Answers that the proxy gives by itself, in the error shape that the SDK of the called API reads.

OpenAI's shape for everybody but callers of the native APIs of Anthropic (https://docs.anthropic.com/en/api/errors) and
Google (https://cloud.google.com/apis/design/errors).
"""

import json
from typing import Any

from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.transport.base import RawHeaders

#: On every answer: the id under which the call is on record.
ID_HEADER = b"X-LLM-Proxy-Id"

_ANTHROPIC = frozenset({Endpoint.MESSAGES, Endpoint.COUNT_TOKENS})
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(*, status: int, code: str, message: str, call_id: str, endpoint: Endpoint = Endpoint.OTHER) -> bytes:
    """The error as clients of ``endpoint`` read it; SDKs map its status, and its code or type, to exceptions."""
    if endpoint in _ANTHROPIC:
        shaped = _anthropic(status, code, message, call_id)
    elif endpoint is Endpoint.GENERATE_CONTENT:
        shaped = _google(status, code, message, call_id)
    else:
        kind = "invalid_request_error" if status < 500 else "upstream_error"
        error = {"message": message, "type": kind, "param": None, "code": code, "llm_proxy_id": call_id}
        shaped = {"error": error}
    return json.dumps(shaped).encode()


def error_headers(body: bytes, call_id: str) -> RawHeaders:
    """Headers of an answer with ``body``."""
    return [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (ID_HEADER, call_id.encode()),
    ]


def _anthropic(status: int, code: str, message: str, call_id: str) -> dict[str, Any]:
    kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message, "code": code}, "request_id": call_id}


def _google(status: int, code: str, message: str, call_id: str) -> dict[str, Any]:
    kind = _GOOGLE_STATUSES.get(status, "FAILED_PRECONDITION" if status < 500 else "INTERNAL")
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "llm-proxy"}
    told = {**reason, "metadata": {"llm_proxy_id": call_id}}
    return {"error": {"code": status, "message": message, "status": kind, "details": [told]}}
