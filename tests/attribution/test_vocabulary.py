"""The table, row by row, through a real proxy: what is said is understood, and what goes on is what shall."""

import json

import pytest

from conftest import CHAT
from llm_proxy.attribution.passage import STRIPPED_PREFIXES, STRIPPED_REQUEST_HEADERS
from llm_proxy.attribution.vocabulary import HEADERS, SESSION_PATTERN, Form, Tells
from llm_proxy.understand import understand
from llm_proxy.wiring.proxy import header_rules

SPAN = "00f067aa0ba902b7"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
VALUES = {
    Form.TEXT: "said",
    Form.LIST: "said,more",
    Form.JSON_LIST: '["said","more"]',
    Form.JSON_OBJECT: '{"key": "said"}',
    Form.TRACEPARENT: f"00-{TRACE}-{SPAN}-01",
    Form.PARENT_SPAN: f"00-{TRACE}-{SPAN}-01",
    Form.AGENT: "said/2.0 (linux)",
    Form.IF_TRUE: "true",
    Form.IF_FALSE: "false",
}
OBEYED = (Tells.LOG, Tells.UPSTREAM, Tells.OMIT_CALL, Tells.OMIT_BODIES, Tells.OMIT_REQUEST, Tells.OMIT_RESPONSE)


def sent_name(header):
    return f"{header.name}Key" if header.is_prefix else header.name


def sent_value(header):
    if header.tells is Tells.LOG:
        return "full"
    if header.tells is Tells.UPSTREAM:
        return "default"
    if header.form is Form.BAGGAGE:
        return f"{header.key}=said"
    return json.dumps({header.key: "said"}) if header.form is Form.JSON_MEMBER else VALUES[header.form]


def understood(header, context):
    if header.tells is Tells.METADATA:
        key = "key" if header.is_prefix or header.key is None else header.key
        return context.metadata.get(key) == (SPAN if header.form is Form.PARENT_SPAN else "said")
    told = {
        Tells.TAGS: context.tags == ("said", "more"),
        Tells.SESSION_ID: context.session_id == "said",
        Tells.SESSION_NAME: context.session_name == "said",
        Tells.USER_ID: context.user_id == "said",
        Tells.TRACE_ID: context.trace_id == (TRACE if header.form is Form.TRACEPARENT else "said"),
    }
    return told.get(header.tells, True)


def is_for_the_gateway(name):
    lower = name.lower().encode()
    return lower in STRIPPED_REQUEST_HEADERS or lower.startswith(STRIPPED_PREFIXES)


async def test_every_header_of_the_table_is_understood_and_goes_on_only_if_it_is_not_for_the_gateway(
    upstream, start_proxy
):
    proxy = await start_proxy(upstream.url, rules=header_rules())
    # Calls to an address that is not allowed are refused: proxy/test_target_hosts.py.
    rows = [header for header in HEADERS if header.tells not in (Tells.OMIT_CALL, Tells.TARGET)]

    for header in rows:
        lines = {sent_name(header): sent_value(header)}
        await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"User-Agent": "", **lines})

    exchanges = await proxy.ended(len(rows))
    for header, exchange, received in zip(rows, exchanges, upstream.received, strict=True):
        name, value = sent_name(header), sent_value(header)
        assert understood(header, understand(exchange).context), name
        recorded = {key.lower(): kept for key, kept in exchange.request_headers}
        may_hold_a_key = name in ("x-portkey-config", "x-portkey-virtual-key")
        assert recorded[name.lower()] == (None if may_hold_a_key else value), name
        assert received.header(name) == (None if is_for_the_gateway(name) else value.encode()), name


async def test_the_session_header_of_an_unknown_product_is_read_and_goes_on(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, rules=header_rules())
    headers = {"X-Newcomer-Session-Id": "abcd-1234", "X-Newcomer-Parent-Session-Id": "efgh-5678"}

    await proxy.client.post("/v1/chat/completions", json=CHAT, headers=headers)

    [exchange] = await proxy.ended()
    assert understand(exchange).context.session_id == "abcd-1234"
    assert dict(exchange.request_headers)["X-Newcomer-Parent-Session-Id"] is None
    assert upstream.received[0].header("X-Newcomer-Session-Id") == b"abcd-1234"


@pytest.mark.parametrize("name", ["x-a-session-id", "x-some-tool-session-id", "x-parents-session-id"])
def test_a_product_may_have_any_name(name):
    assert SESSION_PATTERN.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["x-session-id", "x-parent-session-id", "x-a-parent-session-id", "x-mcp-session-id", "x-login-session-id"]
)
def test_what_may_let_somebody_in_or_is_a_parent_is_no_product(name):
    assert SESSION_PATTERN.fullmatch(name) is None


def test_a_parent_session_is_never_read_as_the_session():
    parents = [header for header in HEADERS if "parent-session" in header.name]

    assert parents
    assert all(header.tells is Tells.METADATA for header in parents)


def test_the_table_is_in_order_of_precedence():
    levels = [header.level for header in HEADERS]

    assert levels == sorted(levels)
