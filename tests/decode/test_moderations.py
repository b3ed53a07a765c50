"""The sample has the shape of https://platform.openai.com/docs/api-reference/moderations/object."""

import json

from decode.exchanges import assert_cuts_change_nothing, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.model.exchange import Endpoint

REQUEST = {"model": "omni-moderation-latest", "input": [{"type": "text", "text": "I want to ..."}]}


def test_what_was_found_is_shown():
    found = decode(exchange_of(Endpoint.MODERATIONS, sample("moderations.json"), request=REQUEST))

    assert found.kind == "moderation"
    assert found.response == json.loads(sample("moderations.json"))
    assert found.preview == "I want to ... → flagged: violence, self-harm"
    assert (found.model, found.response_model, found.usage) == (
        "omni-moderation-latest",
        "omni-moderation-latest",
        None,
    )


def test_nothing_found_is_shown_as_well():
    body = b'{"results": [{"flagged": false, "categories": {"violence": false}}]}'

    assert decode(exchange_of(Endpoint.MODERATIONS, body, request={"input": "Hi"})).preview == "Hi → not flagged"


def test_where_an_answer_is_split_changes_nothing():
    assert_cuts_change_nothing(Endpoint.MODERATIONS, sample("moderations.json"), request=REQUEST)


def test_an_answer_that_broke_off_at_any_byte_is_a_problem():
    whole = sample("moderations.json").strip()

    for cut in range(1, len(whole)):
        found = decode(exchange_of(Endpoint.MODERATIONS, whole[:cut], request=REQUEST))
        assert (found.response, found.preview) == (None, "I want to ...")
        assert found.problem.startswith("the response body is no JSON")


def test_members_of_a_wrong_type_cost_only_themselves():
    for wrong in (None, 5, "x", [], [5], [{"categories": 5, "flagged": "yes"}]):
        body = json.dumps({"results": wrong}).encode()
        assert decode(exchange_of(Endpoint.MODERATIONS, body, request=REQUEST)).problem is None
