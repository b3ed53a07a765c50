"""Tokens that nobody counted."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decode.exchanges import exchange_of
from llm_proxy.decode.estimate import estimated_usage, tokens_of
from llm_proxy.model.completion import CostSource
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.pricing.charge import cost_of
from llm_proxy.understand import understand

DOCUMENT = Path(__file__).parents[2] / "docs" / "providers.md"
#: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken: 124 prompt tokens for gpt-4o.
CONVERSATION = [
    (
        "system",
        None,
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    ),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    (
        "system",
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    (
        "user",
        None,
        "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    ),
]
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello to the world."}]}
ANSWER = {"model": "gpt-4o", "choices": [{"message": {"role": "assistant", "content": "Hello, world!"}}]}


def chat(answer, **members):
    return exchange_of(Endpoint.CHAT, json.dumps(answer).encode(), request=CHAT, **members)


def estimate(text):
    if not text.startswith("the conversation"):
        return tokens_of(text.strip("`"))
    messages = [
        {"role": role, "content": content} | ({"name": name} if name else {}) for role, name, content in CONVERSATION
    ]
    return estimated_usage(Endpoint.CHAT, {"messages": messages}, ANSWER).input_tokens


def test_the_document_says_how_far_off_an_estimate_is():
    rows = re.findall(r"^\| (.+) \| (\d+) \| (\d+) \|$", DOCUMENT.read_text(), re.MULTILINE)

    assert len(rows) >= 5
    assert [estimate(text) for text, _, _ in rows] == [int(estimated) for _, _, estimated in rows]
    counted, estimated = (sum(int(row[at]) for row in rows) for at in (1, 2))
    assert abs(estimated - counted) / counted < 0.05
    assert all(abs(int(row[2]) - int(row[1])) / int(row[1]) < 0.35 for row in rows)


def test_an_estimate_is_marked_and_so_is_its_cost():
    record = understand(chat(ANSWER, provider="openai"), estimates=True)

    assert (record.usage.is_estimated, record.usage.output_tokens) == (True, 4)
    assert record.usage.total_tokens == record.usage.input_tokens + 4
    cost = cost_of(record)
    assert (cost.source, cost.usd > 0, cost.entry is not None) == (CostSource.ESTIMATE, True, True)


def test_what_was_counted_is_not_estimated_and_nothing_is_unless_that_is_asked_for():
    counted = ANSWER | {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}

    record = understand(chat(counted, provider="openai"), estimates=True)

    assert (record.usage.is_estimated, record.usage.input_tokens) == (False, 1)
    assert cost_of(record).source is CostSource.LIST
    assert understand(chat(ANSWER)).usage is None


@pytest.mark.parametrize(
    "different",
    [
        {"http_status": 429, "ending": Ending.UPSTREAM_ERROR},
        {"http_status": None, "ending": Ending.UPSTREAM_UNREACHABLE},
        {"truncated": True},
        {"ending": None},
    ],
)
def test_of_a_call_that_had_no_answer_or_is_not_all_known_nothing_is_estimated(different):
    record = understand(chat(ANSWER, **different), estimates=True)

    assert record.usage is None


@pytest.mark.parametrize(
    ("endpoint", "request_body", "answer"),
    [
        (Endpoint.EMBEDDINGS, {"input": "Hi"}, {"data": []}),
        (Endpoint.CHAT, CHAT, {"choices_": []}),
        (Endpoint.CHAT, {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}, ANSWER),
        (
            Endpoint.MESSAGES,
            {"messages": [{"content": [{"source": {"data": "x"}}]}]},
            {"content": []},
        ),
        (Endpoint.GENERATE_CONTENT, {"contents": [{"parts": [{"inlineData": {"data": "x"}}]}]}, {"candidates": []}),
        (Endpoint.RESPONSES, {"input": "Hi", "previous_response_id": "resp_1"}, {"output": []}),
        (Endpoint.CHAT, None, ANSWER),
        (Endpoint.CHAT, CHAT, None),
    ],
)
def test_what_cannot_be_told_from_text_stays_unknown(endpoint, request_body, answer):
    assert estimated_usage(endpoint, request_body, answer) is None


JSON_OF_ANY_SHAPE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=60, deadline=None)
@given(JSON_OF_ANY_SHAPE, JSON_OF_ANY_SHAPE)
def test_no_shape_of_a_body_fails(asked, said):
    usage = estimated_usage(Endpoint.CHAT, {"messages": asked}, {"choices": said})

    assert usage is None or usage.total_tokens == usage.input_tokens + usage.output_tokens >= 0
