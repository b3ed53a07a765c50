"""The real log10py does all that the Log10 specification has, to the product on SQLite and on PostgreSQL."""

import json
import subprocess

import httpx
import pytest

from sdk.environments import HERE, python_of
from sdk.standing import standing

#: The environment is made at the first time.
pytestmark = pytest.mark.timeout(600)
RUN_S = 90.0
TAGGED = {"authorization": "Bearer sk-test", "x-llm-tags": "proxied", "x-llm-session-id": "proxied"}
#: A call of each kind, as its client sends it, and what log10py is to read of it.
PROXIED = {
    "chat/completions": [
        (
            {"model": "m", "messages": [{"role": "developer", "content": "Be"}, {"role": "user", "content": "Hi"}]},
            "chat",
        ),
        (
            {"model": "m", "stream": True, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
            "chat",
        ),
        ({"model": "tools", "messages": [], "tools": [{"type": "custom", "custom": {"name": "x"}}]}, "chat"),
        ({"model": "error:400", "messages": [], "response_format": {"type": "json_schema", "json_schema": {}}}, "chat"),
    ],
    "completions": [({"model": "m", "prompt": "Hi"}, "prompt")],
    "embeddings": [({"model": "m", "input": "Hi"}, None)],
    "responses": [({"model": "m", "input": "Hi", "tools": [{"type": "web_search"}]}, "chat")],
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def stand(request, tmp_path_factory):
    env = None
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        env = {"LLM_PROXY_STORE_URL": postgres.url(postgres.create_database())}
    with standing(tmp_path_factory.mktemp("log10py"), env) as stand:
        yield stand


@pytest.fixture(scope="module")
def told(stand):
    """Calls the proxy, and then everything of log10py with a key; what it said."""
    count = sum(map(len, PROXIED.values()))
    for path, calls in PROXIED.items():
        for body, _ in calls:
            httpx.post(f"{stand.proxied_url}/{path}", json=body, headers=TAGGED, trust_env=False, timeout=30)
    stand.ended("proxied", count)
    made = stand.product.command(
        *("keys", "create", "--organization", "default", "--scope", "write,read", "--format", "json"),
        *("--data-dir", str(stand.product.data_dir)),
    )
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    command = [python_of("log10py"), str(HERE / "log10py_calls.py"), stand.product.url, key["key"], "default"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_completion_is_created_and_updated(told):
    call = told[0]

    assert (call["status"], call["finished"], call["duration"], call["content"]) == (201, "finished", 1.5, "Ho")
    assert (call["frame"], call["session_id"]) == ("main", call["session"])


def test_a_task_is_made_and_asks_for_what_it_selects(told):
    call, task = told[0], told[1]

    assert (task["got"], task["listed"], task["ungraded"]) == ("stars", [task["task"]], [call["id"]])


def test_feedback_is_given_by_id_and_by_tag_and_checked(told):
    call, feedback, refused = told[0], told[2], told[3]

    assert feedback["matched"] == [[call["id"]], [call["id"]]]
    assert (feedback["got"], feedback["listed"], feedback["page"], feedback["ungraded"]) == ("fine", 2, 1, [])
    assert refused == {"refused": 400, "param": "json_values.stars"}


def test_what_the_proxy_recorded_is_read_in_every_shape(told):
    kinds = sorted(str(kind) for calls in PROXIED.values() for _, kind in calls)

    assert sorted(line.partition(":")[0] for line in told[4]["proxied"]) == kinds
    assert any(line in told[4]["proxied"] for line in ("chat: 1", "chat: 2")), "the call with tools"
    assert "chat: None" in told[4]["proxied"], "the call that failed"
