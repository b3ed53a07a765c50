"""The real log10-io logs what its clients call, to the product on SQLite and on PostgreSQL, and reads it back."""

import contextlib
import json
import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from running import bare_environment
from sdk.environments import HERE, python_of
from sdk.standing import standing

#: The environment is made at the first time.
pytestmark = pytest.mark.timeout(600)
RUN_S = 110.0
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-1",
    "content": [{"type": "text", "text": "Ho"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


class Claude(BaseHTTPRequestHandler):
    """Answers like Anthropic."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(CLAUDE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def anthropic_url():
    with ThreadingHTTPServer(("127.0.0.1", 0), Claude) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Client:
    """An environment in which log10-io finds the product, and the proxy as its OpenAI."""

    def __init__(self, stand, home):
        made = stand.product.command(
            *("keys", "create", "--organization", "acme", "--scope", "write,read", "--format", "env"),
            *("--data-dir", str(stand.product.data_dir)),
        )
        assert made.returncode == 0, made.stderr
        self.key, self.organization = re.fullmatch(
            r"LLM_PROXY_KEY=(\S+)\nLLM_PROXY_ORGANIZATION=(\S+)\n", made.stdout
        ).groups()
        self._stand = stand
        self.url, self.home = stand.product.url, home
        self._environment = bare_environment(home) | {
            "LOG10_URL": stand.product.url,
            "LOG10_TOKEN": self.key,
            "LOG10_ORG_ID": self.organization,
            "OPENAI_BASE_URL": stand.proxied_url,
            "OPENAI_API_KEY": "sk-test",
            "COLUMNS": "200",
        }

    def run(self, *command):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_S, check=False, env=self._environment, cwd=self.home
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def commands(self):
        """A function that runs a command of log10-io and returns what it said; loading them takes seconds."""
        process = subprocess.Popen(
            [python_of("log10-io"), str(HERE / "log10_io_commands.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self._environment,
            cwd=self.home,
        )

        def run(*command):
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            assert answer["status"] == 0, answer
            return answer["said"]

        try:
            yield run
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait(RUN_S)

    def proxied(self, completion_id):
        """What the proxy has seen of the call that its client calls so, once the worker has any of it."""
        while True:
            shown = self._stand.product.command(
                "logs", "--json", "--limit", "0", "--data-dir", str(self._stand.product.data_dir)
            )
            assert shown.returncode == 0, shown.stderr
            made = [json.loads(line) for line in shown.stdout.splitlines()]
            if found := [record for record in made if record["metadata"].get("log10_completion_id") == completion_id]:
                return found
            time.sleep(0.05)

    def records(self, tag):
        answer = httpx.get(
            f"{self.url}/api/v1/completions",
            params={"tag": tag, "fields": "bodies"},
            headers={"x-log10-token": self.key},
            trust_env=False,
        )
        return answer.json()["completions"]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def client(request, tmp_path_factory):
    env = None
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        env = {"LLM_PROXY_STORE_URL": postgres.url(postgres.create_database())}
    with standing(tmp_path_factory.mktemp("log10-io"), env) as stand:
        yield Client(stand, tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def told(client, anthropic_url):
    """Makes the calls; what the program said."""
    said = client.run(python_of("log10-io"), str(HERE / "log10_io_calls.py"), anthropic_url)
    facts = {}
    for line in said.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    return facts


@pytest.fixture(scope="module")
def log10(client, told):
    with client.commands() as run:
        yield run


def one(client, tag):
    (record,) = client.records(tag)
    return record


@pytest.mark.parametrize("tag", ["sync", "stream", "async", "async-stream"])
def test_a_chat_is_logged_whole_however_it_is_made(client, told, tag):
    record = one(client, tag)

    assert (record["status"], record["kind"], record["organization_id"]) == ("finished", "chat", client.organization)
    assert record["request"]["messages"] == [{"role": "user", "content": "Hi"}]
    answer = record["response"]["choices"][0]["message"]["content"]
    assert answer == told[tag.replace("-", "_")]
    assert record["preview"].startswith("Hi → ")
    assert (record["provider"], record["duration"] < RUN_S) == ("openai", True)
    assert tag in record["tags"]


def test_a_call_is_found_under_the_id_that_its_session_told(client, told):
    record = one(client, "sync")

    assert record["id"] == told["id"]
    assert "io" in record["tags"]
    assert record["stacktrace"][-1].keys() == {"file", "line", "lineno", "name"}
    assert record["usage"]["total_tokens"] > 0
    assert record["session_id"] != one(client, "stream")["session_id"]


def test_tool_calls_a_prompt_and_a_failure_are_logged(client, told):
    tools, text, error = one(client, "tools"), one(client, "text"), one(client, "error")

    assert len(tools["response"]["choices"][0]["message"]["tool_calls"]) == told["tools"]
    assert (text["kind"], text["request"]["prompt"]) == ("prompt", "Say hi")
    assert text["response"]["choices"][0]["text"] == told["text"]
    assert (error["status"], error["failure_kind"]) == ("failed", "BadRequestError")
    assert "Bad Request" in error["failure_reason"]


@pytest.mark.parametrize("tag", ["anthropic", "async-anthropic"])
def test_anthropics_shape_is_understood(client, told, tag):
    record = one(client, tag)

    assert (record["status"], record["provider"], record["preview"]) == ("finished", "anthropic", "Hi → Ho")
    assert (record["usage"]["input_tokens"], record["usage"]["output_tokens"]) == (3, 2)


def test_mistrals_shape_is_understood(client, told):
    record = one(client, "mistral")

    assert (record["status"], record["provider"], record["kind"]) == ("finished", "mistral", "chat")
    answer = record["response"]["choices"][0]["message"]["content"]
    assert answer == told["mistral"]
    assert (record["preview"], record["model"]) == (f"Hi → {answer}", "m")
    assert record["usage"]["total_tokens"] > 0


def test_a_call_through_the_proxy_names_the_record_that_its_client_pushes(client, told):
    pushed = one(client, "async")

    (proxied,) = client.proxied(pushed["id"])
    assert proxied["id"] != pushed["id"]
    assert proxied["preview"] == pushed["preview"]


def test_a_mocked_call_is_a_record_and_takes_feedback(client, told):
    record = one(client, "MOCK_CHAT_COMPLETIONS")

    assert record["preview"] == "Hi → Mocked."
    assert (told["tasks"], told["matched"], told["listed"]) == ([told["task"]], 1, 1)
    assert told["got"] == {"stars": 5}


def test_its_commands_list_show_and_download_completions(client, told, log10):
    listed = log10("completions", "list", "--limit", "5")
    filtered = log10("completions", "list", "--tags", "sync")
    shown = log10("completions", "get", "--id", told["id"])
    log10("completions", "download", "--file", "all.jsonl", "--tags", "client", "--limit", "4")

    assert listed.count("success") + listed.count("failed") == 5
    assert "Filter with tags: sync" in filtered
    assert filtered.count("success") == 1
    assert told["id"] in shown
    downloaded = [json.loads(line) for line in (client.home / "all.jsonl").read_text().splitlines()]
    assert len(downloaded) == 4


def test_its_commands_make_and_list_tasks_and_feedback(client, log10):
    schema = json.dumps({"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"]})
    made = log10("feedback-task", "create", "--name", "good", "--task_schema", schema)
    task_id = re.search(r"task_id to add feedback: (\S+)", made)[1]
    given = log10(
        "feedback", "create", "--task_id", task_id, "--values", '{"good": true}', "--completion_tags_selector", "mocked"
    )
    feedback_id = re.search(r"'id': '([^']+)'", given)[1]

    assert "good" in log10("feedback-task", "list")
    assert task_id in log10("feedback-task", "get", "--id", task_id)
    assert feedback_id in log10("feedback", "list")
    assert feedback_id in log10("feedback", "list", "--offset", "0", "--limit", "1", "--task_id", task_id)
    assert feedback_id not in log10("feedback", "list", "--offset", "1")
    assert feedback_id in log10("feedback", "get", "--id", feedback_id)
    log10("feedback", "download", "--file", "feedback.jsonl")
    assert len((client.home / "feedback.jsonl").read_text().splitlines()) == 2
