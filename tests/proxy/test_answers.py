"""Errors in the shapes that SDKs know how to read."""

import json
import re
from pathlib import Path

import pytest

from llm_proxy.errors import UpstreamError
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.answers import error_body, error_headers

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (499, "invalid_request_error")])
def test_what_the_caller_can_mend_is_an_invalid_request(status, kind):
    body = json.loads(error_body(status=status, code="c", message="m", call_id="i"))

    assert body == {"error": {"message": "m", "type": kind, "param": None, "code": "c", "llm_proxy_id": "i"}}


@pytest.mark.parametrize("status", [500, 502, 504])
def test_what_the_caller_cannot_mend_is_an_upstream_error(status):
    body = json.loads(error_body(status=status, code="c", message="m", call_id="i"))

    assert body["error"]["type"] == "upstream_error"


def test_a_message_may_hold_anything():
    message = 'no upstream is called "\x00\u2028\N{SNOWMAN}"'

    body = error_body(status=400, code="c", message=message, call_id="i")

    assert body.isascii()
    assert json.loads(body)["error"]["message"] == message


def test_the_headers_give_length_and_id():
    headers = error_headers(b"12345", "the-id")

    assert headers == [
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"5"),
        (b"X-LLM-Proxy-Id", b"the-id"),
    ]


def test_the_documentation_lists_every_code():
    page = (ROOT / "docs" / "relay.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "src/llm_proxy/proxy").rglob("*.py"), ROOT / "src/llm_proxy/errors.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)

    listed = set(re.findall(r"^\| \d{3} \| `(\w+)`", page, re.MULTILINE))
    # By keyword, by class, in a message's dictionary, and behind the status that a malformed request is refused with.
    given = set(re.findall(r'(?:\bcode = |\bcode=|"code": |\(4\d\d, )"(\w+)"', text)) - {UpstreamError.code}

    assert given == listed


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (429, "rate_limit_error"), (502, "api_error")],
)
@pytest.mark.parametrize("endpoint", [Endpoint.MESSAGES, Endpoint.COUNT_TOKENS])
def test_clients_of_anthropics_api_get_its_shape(endpoint, status, kind):
    body = json.loads(error_body(status=status, code="c", message="m", call_id="i", endpoint=endpoint))

    assert body == {"type": "error", "error": {"type": kind, "message": "m", "code": "c"}, "request_id": "i"}


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "UNAUTHENTICATED"), (429, "RESOURCE_EXHAUSTED"), (409, "FAILED_PRECONDITION")]
)
def test_clients_of_googles_api_get_its_shape(status, kind):
    endpoint = Endpoint.GENERATE_CONTENT

    error = json.loads(error_body(status=status, code="c", message="m", call_id="i", endpoint=endpoint))["error"]

    assert (error["code"], error["message"], error["status"]) == (status, "m", kind)
    assert error["details"][0]["reason"] == "c"
