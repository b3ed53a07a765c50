import pytest

from llm_proxy.attribution.context import attribute
from llm_proxy.model.completion import Context


def of_body(request):
    return attribute((), None, request)


@pytest.mark.parametrize(
    ("user_id", "user", "session"),
    [
        ("user_0a1b_account_11-22_session_3f2c1a9e-1111", "user_0a1b_account_11-22", "3f2c1a9e-1111"),
        ("user_0a1b_account__session_3f2c1a9e-1111", "user_0a1b", "3f2c1a9e-1111"),
        ('{"device_id":"d1","account_uuid":"","session_id":"3f2c1a9e"}', "d1", "3f2c1a9e"),
        ('{"device_id":"d1","account_uuid":"a1","session_id":"3f2c1a9e"}', "a1", "3f2c1a9e"),
        ("somebody", "somebody", None),
        ("my_session_x", "my_session_x", None),
        ("{no json", "{no json", None),
    ],
)
def test_the_user_id_of_claude_code_holds_its_session(user_id, user, session):
    context = of_body({"metadata": {"user_id": user_id}})

    assert (context.user_id, context.session_id) == (user, session)
    assert context.metadata == {"user_id": user_id}


def test_a_header_counts_more_than_the_session_in_the_user_id():
    request = {"metadata": {"user_id": "user_0a1b_account__session_3f2c1a9e-1111"}}

    context = attribute((("x-claude-code-session-id", "from-header"),), None, request)

    assert (context.session_id, context.user_id) == ("from-header", "user_0a1b")


def test_metadata_of_litellm_tells_tags_session_and_trace():
    request = {"metadata": {"tags": ["a", 7, "b"], "session_id": "s1", "trace_id": "t1", "trace_user_id": "u1"}}

    context = of_body(request)

    assert (context.tags, context.session_id, context.trace_id, context.user_id) == (("a", "b"), "s1", "t1", "u1")


@pytest.mark.parametrize("member", ["metadata", "litellm_metadata", "labels", "requestMetadata"])
def test_metadata_is_read_wherever_an_api_has_it(member):
    assert of_body({member: {"team": "red"}}).metadata == {"team": "red"}


def test_labels_that_are_no_object_belong_to_something_else():
    assert of_body({"labels": ["a"], "requestMetadata": "x"}) == Context()


def test_a_trace_of_openrouter_is_a_trace_and_metadata():
    context = of_body({"trace": {"trace_id": "t1", "trace_name": "nightly", "span_name": "step"}})

    assert context == Context(trace_id="t1", metadata={"trace_name": "nightly", "span_name": "step"})


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_of_openai_is_a_session(conversation):
    assert of_body({"conversation": conversation}).session_id == "conv_1"


def test_tags_and_episode_of_tensorzero_are_read():
    request = {"tensorzero::tags": {"env": "prod", "n": 7}, "tensorzero::episode_id": "e1"}

    context = of_body(request)

    assert (context.tags, context.session_id) == (("env:prod", "n:7"), "e1")


def test_what_has_another_shape_is_nothing():
    request = {"conversation": 7, "trace": "t", "tensorzero::tags": [], "metadata": {"user_id": 7, "tags": "a"}}

    context = of_body(request)

    assert context == Context(metadata={"user_id": 7, "tags": "a"})
