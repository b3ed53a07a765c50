"""Snippets that make a call once more: they are run, or read by their own language."""

import ast
import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Endpoint
from llm_proxy.ui.snippets import BODY_CHARACTERS, snippets
from records import REQUEST, record

BASE = "http://127.0.0.1:8080"
HOSTILE = "'; touch /tmp/x; echo $(id) `id` \"\\ \n\u202e"


def written(request=REQUEST, **different):
    return {snippet.title: snippet.text for snippet in snippets(record(**different), request, BASE)}


def arguments_of(curl):
    """What a shell hands to curl."""
    script = curl.replace("curl ", "print_them ", 1)
    done = subprocess.run(
        ["sh", "-c", f'print_them() {{ printf "%s\\0" "$@"; }}\n{script}'],
        capture_output=True,
        env={"PATH": os.environ["PATH"], "OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"},
        check=True,
    )
    assert not done.stderr
    return done.stdout.decode().split("\0")[:-1]


def test_curl_sends_the_same_body_to_the_same_path_with_the_key_of_the_environment():
    arguments = arguments_of(written()["curl"])

    assert arguments[0] == f"{BASE}/v1/chat/completions"
    assert "Authorization: Bearer sk-1" in arguments
    assert json.loads(arguments[arguments.index("--data-binary") + 1]) == REQUEST


def test_anthropic_is_asked_as_anthropic_wants_it():
    bodies = Bodies(request_headers=(("anthropic-version", "2023-06-01"), ("cookie", None)))

    arguments = arguments_of(written(path="/v1/messages", endpoint=Endpoint.OTHER, bodies=bodies)["curl"])

    assert "x-api-key: sk-2" in arguments
    assert "anthropic-version: 2023-06-01" in arguments


def test_what_is_hostile_stays_one_argument():
    request = {"model": HOSTILE}

    arguments = arguments_of(written(request, path=f"/v1/{HOSTILE}", method=HOSTILE)["curl"])

    assert len(arguments) == 9
    assert arguments[0].startswith(f"{BASE}/v1/'; touch /tmp/x;")


@pytest.mark.parametrize("title", ["Python", "OpenAI SDK"])
def test_python_has_the_same_body(title):
    program = ast.parse(written()[title])

    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in program.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "request"
    }
    assert values == {"request": REQUEST}


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())))
def test_every_value_is_quoted(request):
    for title in ("Python", "OpenAI SDK"):
        text = written(request)[title]
        assigned = next(
            node.value for node in ast.parse(text).body if isinstance(node, ast.Assign) and "request" in ast.dump(node)
        )
        assert ast.literal_eval(assigned) == request
        assert "\u202e" not in text


def test_a_long_body_is_read_from_its_file():
    long = {"model": "x" * BODY_CHARACTERS}

    for text in written(long).values():
        assert "request.json" in text
        assert len(text) < 1000


def test_only_what_the_sdk_can_say_is_said_with_it():
    assert "client.chat.completions.create(**request)" in written()["OpenAI SDK"]
    assert "OpenAI SDK" not in written(endpoint=Endpoint.OTHER)
    assert written(None) == {}


def test_a_session_over_a_websocket_is_no_request_to_be_made_again():
    assert snippets(record(endpoint=Endpoint.REALTIME, method="GET"), REQUEST, BASE) == ()
