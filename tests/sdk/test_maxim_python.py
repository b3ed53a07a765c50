"""The real maxim-py tells of one of everything, to the product on SQLite and on PostgreSQL; all of it is read back."""

import subprocess

import httpx
import pytest

from sdk.environments import HERE, python_of
from sdk.standing import nodes, read_trace, standing

#: The SDK waits for a while before it ends.
RUN_S = 90.0
SEARCH = "/v1/log-repositories/logs/search"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def stand(request, tmp_path_factory):
    env = None
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        env = {"LLM_PROXY_STORE_URL": postgres.url(postgres.create_database())}
    with standing(tmp_path_factory.mktemp("maxim"), env) as stand:
        yield stand


@pytest.fixture(scope="module")
def directory(stand, tmp_path_factory):
    """Tells of everything; the directory that the SDK had for its own files."""
    there = tmp_path_factory.mktemp("run")
    tell(stand, there)
    return there


def tell(stand, there):
    command = [python_of("maxim"), str(HERE / "maxim_calls.py"), stand.product.url, "any", "repo", "p", str(there)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def trace(stand, directory):
    return read_trace(stand, "p-trace")


def records(stand, **asked):
    answer = httpx.get(f"{stand.product.url}/api/v1/completions", params=asked, trust_env=False)
    return answer.json()["completions"]


def test_the_sdk_finds_nothing_wrong(stand, directory):
    assert list(directory.rglob("*.log")) == [], "the SDK could not send these"


def test_a_trace_has_all_that_was_told_of_it(trace):
    assert (trace["name"], trace["sessionId"]) == ("turn", "p-session")
    assert (trace["input"], trace["output"]) == ("What is the capital of France?", "Paris, of course.")
    assert trace["tags"] == {"a": "1", "b": "2"}
    assert trace["metrics"] == {"words": 6}
    assert trace["metadata"]["any"] == '{"deep": [1, null]}'
    assert trace["feedback"] == {"score": 1, "comment": "good"}
    assert trace["errors"][0]["errorMessage"] == "slow"
    assert trace["errors"][0]["errorType"] == "timeout"
    assert {tuple(one["evaluators"]) for one in trace["evaluate"]} == {("bias", "toxicity")}
    assert trace["evaluate"][-1]["variables"] == {"input": "x"}
    assert trace["duration"] > 0


def test_what_is_in_it_stands_where_it_belongs(trace):
    found = nodes(trace)

    assert set(found) == {
        "p-generation", "p-event", "p-span", "p-inner", "p-retrieval", "p-tool", "p-failed", "p-broken",
    }  # fmt: skip
    assert {node["id"] for node in found["p-span"]["timeline"]} == {"p-inner", "p-tool"}
    assert [node["id"] for node in found["p-inner"]["timeline"]] == ["p-retrieval"]


def test_a_generation_has_all_that_was_told_of_it(trace):
    generation = nodes(trace)["p-generation"]

    assert (generation["name"], generation["provider"], generation["model"]) == ("answer", "openai", "gpt-4o")
    assert [message["role"] for message in generation["messages"]] == ["system", "user"]
    assert generation["completionResult"]["choices"][0]["message"]["content"] == "Paris, of course."
    assert generation["cost"] == {"input": 0.1, "output": 0.2, "total": 0.3}
    assert (generation["metrics"], generation["metadata"]) == ({"score": 0.25}, {"m": "x"})
    assert generation["tags"] == {"g": "1"}


def test_a_retrieval_a_tool_call_and_an_event_have_all_that_was_told_of_them(trace):
    found = nodes(trace)

    assert found["p-retrieval"]["docs"] == ["Paris is its capital.", "So it is."]
    assert (found["p-retrieval"]["input"], found["p-retrieval"]["metrics"]) == ("France", {"recall": 0.5})
    assert (found["p-tool"]["result"], found["p-tool"]["args"]) == ("shown", '{"of": "France"}')
    assert found["p-broken"]["errors"] == [{"errorMessage": "down", "errorCode": "503", "errorType": "net"}]
    assert found["p-failed"]["errors"][0]["errorType"] == "rate_limit"
    assert (found["p-event"]["name"], found["p-event"]["tags"]) == ("asked", {"k": "v"})


def test_files_come_back_as_they_were(stand, trace):
    files = {file["id"]: file for file in trace["attachments"]}

    assert set(files) == {"p-file", "p-data", "p-url"}
    assert files["p-url"]["url"] == "https://example.test/a.png"
    path = f"{stand.product.url}/api/sdk/v1/log-repositories/attachments"
    back = [httpx.get(path, params={"key": files[one]["key"]}, trust_env=False) for one in ("p-file", "p-data")]
    assert [answer.content for answer in back] == [b"some notes", b"<svg/>"]
    assert files["p-data"]["mimeType"] == "image/svg+xml"


def test_a_line_that_is_too_large_for_the_log_is_read_too(trace):
    assert trace["metadata"]["large"] == "x" * 1_000_000


def test_generations_are_records_beside_those_of_calls(stand, directory):
    told = [record for record in records(stand, session="p-session") if "maxim" in record["metadata"]]

    by_id = {record["metadata"]["maxim"]["id"]: record for record in told}
    assert set(by_id) == {"p-generation", "p-failed"}
    assert (by_id["p-generation"]["status"], by_id["p-failed"]["status"]) == ("finished", "failed")
    assert by_id["p-generation"]["usage"]["total_tokens"] == 9
    assert by_id["p-generation"]["tags"] == ["g:1"]
    (found,) = records(stand, search="paris, of course")
    assert found["id"] == by_id["p-generation"]["id"]


def relayed(stand, count):
    """The records of the calls that went through the proxy, once there are so many."""
    # What the SDK told of the same calls belongs to no session.
    ended = stand.ended("p-session", count + 1)
    return [record for record in ended if "maxim" not in record["metadata"]]


def test_a_call_through_the_proxy_is_a_generation_of_the_trace_that_it_names(stand, directory):
    (call,) = relayed(stand, 1)

    generations = nodes(read_trace(stand, "p-called"))

    assert call["trace_id"] == "p-called"
    assert generations[call["id"]]["tags"] == {"env": "test"}
    assert generations[call["id"]]["completionResult"] == call["response"]


def test_traces_and_sessions_are_listed(stand, directory):
    found = {
        kind: httpx.post(f"{stand.product.url}{SEARCH}", json={"id": "repo", "type": kind}, trust_env=False).json()[
            "data"
        ]["logs"]
        for kind in ("session", "trace")
    }

    assert {one["id"] for one in found["session"]} == {"p-session"}
    assert "p-trace" in {one["id"] for one in found["trace"]}
    assert found["session"][0]["feedback"] == {"score": 2, "comment": "so so"}


def test_told_once_more_nothing_is_there_twice(stand, directory, trace, tmp_path):
    tell(stand, tmp_path)

    again = read_trace(stand, "p-trace")
    assert (set(nodes(again)), again["tags"]) == (set(nodes(trace)), trace["tags"])
    told = [record for record in records(stand, session="p-session") if "maxim" in record["metadata"]]
    assert len(told) == 2
    assert len(relayed(stand, 2)) == 2
