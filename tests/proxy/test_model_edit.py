import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.proxy.model_edit import model_in, with_model, with_model_in_path

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("model"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.text(), st.text(), st.sampled_from([None, 1]), st.booleans())
def test_the_model_is_written_and_nothing_else(rest, old, new, indent, is_ascii):
    rest.pop("model", None)
    value = {"messages": [{"model": "inner"}], "model": old, **rest}
    body = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")

    changed = with_model(body, new)

    assert json.loads(changed) == value | {"model": new}
    at = body.index(b'"model": ', body.index(b"}")) + len(b'"model": ')
    length = len(json.dumps(old, ensure_ascii=is_ascii).encode())
    assert (changed[:at], changed[at + len(json.dumps(new, ensure_ascii=False).encode()) :]) == (
        body[:at],
        body[at + length :],
    )


def test_each_of_several_is_written_as_readers_differ_in_which_counts():
    assert with_model(b'{"model":"a", "x":1,"model" : "b"}', "c") == b'{"model":"c", "x":1,"model" : "c"}'


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{", b'"model"', b'{"messages": [{"model": "x"}]}'])
def test_what_names_no_model_stays_as_it_is(body):
    assert (model_in(body), with_model(body, "new")) == (None, body)


@pytest.mark.parametrize(("body", "model"), [(b' {"a": 1, "model":"x/\\u0041"}', "x/A"), (b'{"model": 1}', None)])
def test_the_model_is_read_as_it_is_meant(body, model):
    assert model_in(body) == model


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (b"/v1beta/models/gemini-2:generateContent", b"/v1beta/models/a%2Fb:generateContent"),
        (b"/model/anthropic.claude-v2%3A1/converse", b"/model/a%2Fb/converse"),
        (b"/openai/deployments/gpt/chat/completions", b"/openai/deployments/a%2Fb/chat/completions"),
        (b"/v1/chat/completions", b"/v1/chat/completions"),
        (b"/v1/models/gpt-4o", b"/v1/models/gpt-4o"),
    ],
)
def test_the_model_is_written_into_paths_that_have_one(path, written):
    assert with_model_in_path(path, "a/b") == written
