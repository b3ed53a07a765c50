"""The real @maximai/maxim-js tells of one of everything; all of it is read back."""

import shutil
import subprocess

import httpx
import pytest

from sdk.environments import HERE
from sdk.standing import nodes, read_trace

NPM = HERE / "npm-maxim"
#: For npm, which may have to fetch the packages first.
PATIENCE_S = 100.0


def run(program, *arguments):
    found = shutil.which(program)
    assert found, f"{program} is not installed: tests/bin/install-services installs what the tests need"
    done = subprocess.run([found, *arguments], cwd=NPM, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed():
    """The locked packages in npm-maxim/node_modules, fetched only when the lock file is newer."""
    lock, marker = NPM / "package-lock.json", NPM / "node_modules" / ".package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        marker.touch()


@pytest.fixture(scope="module")
def trace(stand, installed, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "notes.txt"
    path.write_text("some notes")
    said = run("node", "calls.js", stand.product.url, "repo-js", "js", str(path))
    assert "Error" not in said, said
    return read_trace(stand, "js-trace")


def test_a_trace_has_all_that_was_told_of_it(trace):
    assert (trace["name"], trace["sessionId"]) == ("turn", "js-session")
    assert trace["input"] == "Quelle est la capitale de la France ?\u2028(une ligne)"
    assert (trace["output"], trace["tags"], trace["metrics"]) == ("Paris.", {"a": "1", "b": "2"}, {"words": 6})
    assert trace["feedback"] == {"score": 1, "comment": "good"}
    assert trace["errors"][0]["errorMessage"] == "slow"
    assert [one["evaluators"] for one in trace["evaluate"]] == [["bias"], ["bias"]]
    assert trace["duration"] >= 0


def test_what_is_in_it_stands_where_it_belongs_with_all_that_was_told_of_it(trace):
    found = nodes(trace)

    assert set(found) == {"js-generation", "js-event", "js-span", "js-retrieval", "js-tool"}
    assert {node["id"] for node in found["js-span"]["timeline"]} == {"js-retrieval", "js-tool"}
    generation = found["js-generation"]
    assert [message["role"] for message in generation["messages"]] == ["system", "user"]
    assert generation["completionResult"]["choices"][0]["message"]["content"] == "Paris, bien sûr."
    assert generation["modelParameters"] == {"temperature": 0.5}
    assert (found["js-retrieval"]["input"], found["js-retrieval"]["docs"]) == ("France", ["Paris is its capital."])
    assert (found["js-tool"]["result"], found["js-event"]["tags"]) == ("shown", {"k": "v"})


def test_files_come_back_as_they_were_and_so_does_a_line_that_is_too_large(stand, trace):
    files = {file["id"]: file for file in trace["attachments"]}
    path = f"{stand.product.url}/api/sdk/v1/log-repositories/attachments"

    back = [httpx.get(path, params={"key": files[one]["key"]}, trust_env=False) for one in ("js-file", "js-data")]

    assert [answer.content for answer in back] == [b"some notes", b"<svg/>"]
    assert trace["metadata"]["large"] == "é" * 500_000


def test_its_generation_is_a_record_beside_those_of_calls(stand, trace):
    (record,) = stand.ended("js-session", 1)

    assert record["metadata"]["maxim"]["id"] == "js-generation"
    assert (record["status"], record["usage"]["total_tokens"]) == ("finished", 9)
