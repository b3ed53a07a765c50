"""What a caller says that the proxy itself obeys."""

import pytest

from conftest import CHAT
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.wishes import Wishes, wishes
from upstreams import json_response

NO_CALL = Wishes(log="off")
NO_BODIES = Wishes(request_body=False, response_body=False)
NO_REQUEST = Wishes(request_body=False)
NO_RESPONSE = Wishes(response_body=False)


@pytest.mark.parametrize(
    ("headers", "path_context", "expected"),
    [
        ([], None, Wishes()),
        ([(b"X-LLM-Other", b"x")], None, Wishes()),
        ([(b"X-LLM-Provider", b" Groq ")], None, Wishes("groq", "full")),
        ([(b"x-llm-log", b"OFF")], None, Wishes(None, "off")),
        ([(b"X-LLM-Log", b"metadata")], "log=off", Wishes(None, "metadata")),
        ([], "provider=groq;log=metadata;tags=a", Wishes("groq", "metadata")),
        ([(b"X-LLM-Provider", b"a")], "provider=b;log=off", Wishes("a", "off")),
        ([(b"X-LLM-Log", b"never heard of")], None, Wishes(None, "full")),
        ([(b"X-LLM-Log", b"never heard of")], "log=off", Wishes(None, "off")),
        ([(b"X-LLM-Provider", b"")], "provider=b", Wishes("b", "full")),
        ([(b"X-LLM-Log", b"\xff")], None, Wishes(None, "full")),
        ([(b"x-portkey-provider", b"@Groq")], None, Wishes("groq")),
        ([(b"X-LLM-Provider", b"a"), (b"x-portkey-provider", b"b")], None, Wishes("a")),
        ([(b"x-portkey-provider", b"b"), (b"X-LLM-Provider", b"a")], None, Wishes("a")),
        ([(b"x-portkey-provider", b"b")], "provider=c", Wishes("c")),
        ([(b"x-portkey-provider", b"")], None, Wishes()),
        ([(b"x-portkey-virtual-key", b"my-azure")], None, Wishes("my-azure")),
        ([(b"x-portkey-virtual-key", b"a"), (b"x-portkey-provider", b"b")], None, Wishes("b")),
        ([(b"x-portkey-config", b'{"provider": "@Groq", "api_key": "k"}')], None, Wishes("groq")),
        ([(b"x-portkey-config", b"pc-prod-123")], None, Wishes()),
        ([(b"x-portkey-config", b'{"provider": 1}')], None, Wishes()),
        ([(b"x-portkey-config", b"[" * 100_000)], None, Wishes()),
        (
            [(b"x-portkey-config", b'["provider"]'), (b"helicone-forced-routing", b"anthropic")],
            None,
            Wishes("anthropic"),
        ),
        ([(b"Helicone-Target-URL", b" https://H/A ")], "log=off", Wishes(None, "off", address="https://H/A")),
        ([(b"x-portkey-custom-host", b"")], None, Wishes()),
        ([(b"X-LLM-Server-Timing", b" 1 ")], "log=off", Wishes(None, "off", server_timing=True)),
        ([(b"x-llm-server-timing", b"0")], None, Wishes()),
        ([], "", Wishes()),
    ],
)
def test_a_header_beats_the_path_and_an_unknown_word_changes_nothing(headers, path_context, expected):
    assert wishes(headers, path_context) == expected


@pytest.mark.parametrize(
    ("name", "word", "expected"),
    [
        ("Helicone-Omit-Request", "true", NO_REQUEST),
        ("Helicone-Omit-Response", "true", NO_RESPONSE),
        ("x-portkey-debug", "false", NO_BODIES),
        ("x-litellm-enable-message-redaction", "True", NO_BODIES),
        ("litellm-enable-message-redaction", "1", NO_BODIES),
        ("x-bf-disable-content-logging", "true", NO_BODIES),
        ("cf-aig-collect-log", "false", NO_CALL),
        ("cf-aig-collect-log-payload", "false", NO_BODIES),
        ("langfuse_mask_input", "true", NO_REQUEST),
        ("langfuse_mask_output", "true", NO_RESPONSE),
    ],
)
def test_each_header_of_another_gateway_leaves_out_what_it_means(name, word, expected):
    opposite = "true" if word == "false" else "false"

    assert wishes([(name.encode(), word.encode())], None) == expected
    assert wishes([(name.upper().encode(), word.encode())], None) == expected
    assert wishes([(name.encode(), opposite.encode())], None) == Wishes()
    assert wishes([(name.encode(), b"perhaps")], None) == Wishes()


def test_of_several_headers_of_others_each_is_obeyed():
    both = [(b"Helicone-Omit-Request", b"true"), (b"langfuse_mask_output", b"true")]

    assert wishes(both, None) == NO_BODIES
    assert wishes([*both, (b"cf-aig-collect-log", b"false")], "tags=a").log == "off"


def test_our_own_word_counts_alone():
    others = [(b"Helicone-Omit-Request", b"true"), (b"cf-aig-collect-log", b"false")]

    assert wishes([*others, (b"X-LLM-Log", b"full")], None) == Wishes()
    assert wishes(others, "log=metadata") == Wishes(log="metadata")


def test_of_a_header_that_occurs_twice_the_last_one_counts():
    twice = [(b"Helicone-Omit-Request", b"true"), (b"helicone-omit-request", b"false")]

    assert wishes(twice, None) == Wishes()
    assert wishes(twice[::-1], None) == NO_REQUEST


@pytest.mark.parametrize(
    ("headers", "has_request", "has_response"),
    [
        ({"Helicone-Omit-Request": "true"}, False, True),
        ({"Helicone-Omit-Response": "true"}, True, False),
        ({"cf-aig-collect-log-payload": "false"}, False, False),
        ({"X-LLM-Log": "metadata"}, False, False),
    ],
)
async def test_what_is_to_be_left_out_never_reaches_the_journal(upstream, proxy, headers, has_request, has_response):
    await proxy.client.post("/v1/chat/completions", json=CHAT, headers=headers)

    [exchange] = await proxy.ended()
    journal = b"".join(path.read_bytes() for path in proxy.journal_dir.rglob("*.seg"))
    assert (exchange.request_body is not None, exchange.response_body is not None) == (has_request, has_response)
    assert (b'"messages"' in journal, b"Hello!" in journal) == (has_request, has_response)
    assert (exchange.request_bytes or 0) > 0
    assert (exchange.response_bytes or 0) > 0


async def test_an_error_is_kept_without_bodies_unless_the_answer_was_to_be_left_out(upstream, proxy):
    upstream.default = [json_response({"error": "no"}, status="400 Bad Request")]

    for headers in ({"X-LLM-Log": "metadata"}, {"Helicone-Omit-Response": "true"}):
        await proxy.client.post("/v1/chat/completions", json=CHAT, headers=headers)

    kept, omitted = await proxy.ended(2)
    assert (kept.response_body, omitted.response_body) == (b'{"error": "no"}', None)
    assert omitted.ending is Ending.UPSTREAM_ERROR


async def test_a_call_that_is_not_to_be_logged_is_only_counted(upstream, proxy):
    answer = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"cf-aig-collect-log": "false"})

    assert answer.status_code == 200
    assert proxy.recorded() == []
    assert proxy.ledger.get("dropped.log_off") == 1
