"""Answers that the proxy gives by itself, in the error shape of the OpenAI API."""

import json

from llm_proxy.proxy.transport.base import RawHeaders

#: On every answer: the id under which the call is on record.
ID_HEADER = b"X-LLM-Proxy-Id"


def error_body(*, status: int, code: str, message: str, call_id: str) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}``; SDKs of the OpenAI API map status and code to exceptions."""
    error = {
        "message": message,
        "type": "invalid_request_error" if status < 500 else "upstream_error",
        "param": None,
        "code": code,
        "llm_proxy_id": call_id,
    }
    return json.dumps({"error": error}).encode()


def error_headers(body: bytes, call_id: str) -> RawHeaders:
    """Headers of an answer with ``body``."""
    return [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (ID_HEADER, call_id.encode()),
    ]
