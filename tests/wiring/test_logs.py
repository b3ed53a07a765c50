"""``llm-proxy logs`` as its users run it: a process of its own beside whatever writes the store."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from datetime import UTC, datetime, timedelta

import pytest

import warm
from empty_stores import empty_store
from journal.frames import Recording
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.record import record_json
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.logs import _follow
from llm_proxy.wiring.stores import open_store
from records import NOON, bare, record, tagged
from running import PATIENCE_S, bare_environment, until

PROMISED = {
    "id", "status", "failure_kind", "failure_reason", "ending", "http_status", "provider", "upstream", "path", "model",
    "stream", "tags", "session_id", "user_id", "trace_id", "metadata", "started_at", "duration", "ttfb_s", "ttft_s",
    "usage", "request", "response", "request_headers", "response_headers", "truncated",
}  # fmt: skip


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(DataDir(tmp_path).database))
    yield store
    await store.close()


def command(*arguments, data_dir):
    return [sys.executable, "-m", "llm_proxy", "logs", "--data-dir", str(data_dir), *arguments]


@pytest.fixture
def logs(tmp_path, tmp_path_factory):
    printed = tmp_path_factory.mktemp("printed")

    def logs(*arguments, **env):
        command = ["logs", "--data-dir", str(tmp_path), *arguments]
        return warm.run(command, env=bare_environment(tmp_path) | env, there=printed)

    return logs


@pytest.fixture
async def follow(tmp_path):
    """Start following; the process is ended with the test."""
    async with contextlib.AsyncExitStack() as started:

        async def follow(*arguments):
            process = await asyncio.create_subprocess_exec(
                *command("-f", *arguments, data_dir=tmp_path),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=bare_environment(tmp_path),
            )
            started.push_async_callback(end, process)
            return process

        yield follow


async def end(process):
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def next_line(process):
    async with asyncio.timeout(PATIENCE_S):
        return (await process.stdout.readline()).decode()


def ids(printed):
    return [json.loads(line)["id"] for line in printed.splitlines()]


def at(second, **different):
    return record(started_at=NOON + timedelta(seconds=second), **different)


async def test_everything_is_printed_as_one_object_a_line_newest_first(store, logs):
    calls = [at(second, id=f"call-{second:03}") for second in range(120)]
    await store.put(calls)

    done = logs("--json", "--limit", "0")

    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        record_json(call, with_bodies=True) for call in reversed(calls)
    ]


async def test_each_object_has_the_members_that_were_promised(store, logs):
    await store.put([bare()])

    done = logs("--json")

    assert set(json.loads(done.stdout)) >= PROMISED


async def test_no_more_than_the_limit_is_printed(store, logs):
    await store.put([at(second, id=f"call-{second:02}") for second in range(60)])

    assert ids(logs("--json", "--limit", "2").stdout) == ["call-59", "call-58"]
    assert len(ids(logs("--json").stdout)) == 50
    assert logs("--limit", "60").stdout.count("call-") == 60


CONDITIONS = [
    (("--tag", "a"), ["one", "two"]),
    (("--tag", "a", "--tag", "b"), ["one"]),
    (("--session", "s-2"), ["two"]),
    (("--user", "u-2"), ["two"]),
    (("--model", "gpt-4o"), ["one"]),
    (("--status", "failed"), ["two"]),
    (("--since", "2h"), ["now"]),
    (("--since", "2026-11-24T12:00:01Z"), ["one", "now"]),
    (("--search", "WEATHER in Oslo"), ["two"]),
    (("--where", "-session:none text:oslo"), ["two"]),
    (("--tag", "a", "--status", "finished"), ["one"]),
]


@pytest.mark.parametrize(("conditions", "expected"), CONDITIONS, ids=" ".join)
async def test_every_condition_narrows_the_list(store, logs, conditions, expected):
    asked = Bodies(request={"messages": [{"role": "user", "content": "The weather in Oslo?"}]})
    other = {"model": "mistral-large", "response_model": None}
    await store.put(
        [
            at(2, id="one", context=Context(tags=("a", "b"), session_id="s-1", user_id="u-1")),
            at(
                0, id="two", bodies=asked, status=Status.FAILED, **other,
                context=Context(tags=("a",), session_id="s-2", user_id="u-2"),
            ),
            tagged(id="now", started_at=max(datetime.now(UTC), NOON + timedelta(days=1)), **other),
        ]
    )  # fmt: skip

    done = logs("--json", *conditions)

    assert sorted(ids(done.stdout)) == sorted(expected)


async def test_a_call_is_shown_by_its_id(store, logs):
    await store.put([at(0, id="one"), at(1, id="two")])

    shown = logs("one")
    as_json = logs("one", "--json")

    assert "What is the capital of France?" in shown.stdout
    assert "x-request-id" in shown.stdout
    assert ids(as_json.stdout) == ["one"]
    assert (shown.returncode, as_json.returncode) == (0, 0)


async def test_an_unknown_id_is_an_error_of_one_line(store, logs, tmp_path):
    done = logs("nobody")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"llm-proxy: no call with the id 'nobody' is recorded in {tmp_path}\n"


@pytest.mark.parametrize("arguments", [(), ("--json", "--limit", "0")])
def test_before_anything_is_recorded_it_says_how_to_begin(logs, tmp_path, arguments):
    done = logs(*arguments)

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"llm-proxy: nothing is recorded in {tmp_path} yet;"
        f" start `llm-proxy serve --data-dir {tmp_path}` and point OPENAI_BASE_URL to it\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_calls_that_are_on_the_way_are_not_told_as_if_there_were_none(logs, tmp_path):
    data = DataDir(tmp_path)
    data.prepare()
    writer = JournalWriter(data.journal, limits=JournalLimits(fsync="never"), ledger=Ledger())
    for _ in range(2):
        writer.open(Recording().all())
    writer.close()

    done = logs()

    assert done.stderr == (
        f"llm-proxy: nothing is stored in {tmp_path} yet, and 2 calls are on the way; `llm-proxy status` tells more\n"
    )


async def test_that_nothing_matches_is_not_said_as_if_nothing_were_recorded(store, logs):
    await store.put([record()])

    done = logs("--tag", "nobody")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "llm-proxy: no recorded call meets these conditions\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "yesterday"), "--since: 'yesterday' is no time; write 15m, 2h, 7d or 2026-01-31T12:00:00Z"),
        (("--status", "done"), "Invalid value for '--status': 'done' is not one of"),
        (("--limit", "-1"), "Invalid value for '--limit': -1 is not in the range"),
        (("one", "--tag", "a"), "logs: a call is shown by its id, others are listed by conditions; choose one"),
        (("one", "-f"), "logs: a call is shown by its id, others are listed by conditions; choose one"),
    ],
)
def test_what_is_asked_wrong_is_said_in_one_line(logs, arguments, message):
    done = logs(*arguments)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"llm-proxy: {message}")


def test_a_file_that_is_no_store_is_named(logs, tmp_path):
    DataDir(tmp_path).database.write_text("This is no database. " * 100)

    done = logs()

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"llm-proxy: {DataDir(tmp_path).database}: file is not a database\n"


async def test_it_works_while_the_store_is_written_and_changes_nothing(store, logs, tmp_path):
    await store.put([record(id="one")])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")}

    done = logs("--json")

    assert ids(done.stdout) == ["one"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")} == before


async def test_piped_it_is_plain_and_a_table_goes_on_over_all_its_pages(store, logs):
    await store.put([at(second, id=f"call-{second:03}") for second in range(250)])

    printed = logs("--limit", "0").stdout

    assert "\x1b" not in printed
    assert printed.count("TIME ") == 1
    assert [line.split()[0] for line in printed.splitlines() if "call-" in line] == [
        f"call-{second:03}" for second in reversed(range(250))
    ]


def on_a_terminal(*arguments, tmp_path, columns, **env):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            command(*arguments, data_dir=tmp_path),
            stdout=theirs,
            stderr=theirs,
            stdin=theirs,
            env=bare_environment(tmp_path) | {"TERM": "xterm-256color"} | env,
        )
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody has it open any more
            while piece := screen.read(4096):
                printed += piece
        assert process.wait(PATIENCE_S) == 0
    return printed.decode().replace("\r\n", "\n")


async def test_on_a_terminal_it_is_coloured_and_as_wide_as_that(store, tmp_path):
    await store.put([record(preview="word " * 40)])

    coloured = on_a_terminal(tmp_path=tmp_path, columns=90)
    plain = on_a_terminal(tmp_path=tmp_path, columns=90, NO_COLOR="1")

    assert "\x1b[32mfinished" in coloured
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) == 90


async def test_a_terminal_that_cannot_show_a_character_still_gets_the_list(store, tmp_path):
    await store.put([record(id="one", preview="¿Qué? → ☃")])

    env = bare_environment(tmp_path) | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = await asyncio.to_thread(
        subprocess.run, command(data_dir=tmp_path), capture_output=True, text=True, env=env, check=False
    )

    assert done.returncode == 0
    assert "?Qu?? ? ?" in done.stdout
    assert "one" in done.stdout


async def test_a_reader_that_has_seen_enough_ends_it_in_silence(store, tmp_path):
    await store.put([at(second) for second in range(500)])

    status, said = after_one_line(command("--json", "--limit", "0", data_dir=tmp_path), env=bare_environment(tmp_path))

    assert (status, said) == (141, b"")


def after_one_line(arguments, *, env):
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        process.stdout.readline()
        process.stdout.close()
        return process.wait(PATIENCE_S), process.stderr.read()


async def test_however_much_is_recorded_little_is_in_memory(store, tmp_path):
    megabyte = Bodies(request={"text": "x" * 2**20}, request_body=b"x" * 2**20)
    await store.put([at(second, bodies=megabyte) for second in range(20)])
    few = peak_bytes(command("--json", "--limit", "0", data_dir=tmp_path))
    for batch in range(1, 8):
        await store.put([at(second + 20 * batch, bodies=megabyte) for second in range(20)])

    many = peak_bytes(command("--json", "--limit", "0", data_dir=tmp_path))

    assert many - few < 40 * 2**20  # 140 records more, of 2 MiB and more each


def peak_bytes(arguments):
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def test_following_prints_the_last_ones_oldest_first_and_then_what_comes(store, follow):
    await store.put([at(0, id="one"), at(1, id="two"), at(2, id="three")])
    process = await follow("--json", "--limit", "2")
    assert [json.loads(await next_line(process))["id"] for _ in range(2)] == ["two", "three"]

    await store.put([bare(id="four", started_at=NOON + timedelta(seconds=3))])
    started = json.loads(await next_line(process))
    await store.put([at(3, id="four")])
    ended = json.loads(await next_line(process))

    assert (started["id"], started["status"]) == ("four", "started")
    assert (ended["id"], ended["status"]) == ("four", "finished")
    assert ended["response"]["choices"][0]["message"]["content"] == "Paris."


async def test_following_obeys_the_conditions(store, follow):
    await store.put([tagged("other", id="one"), tagged("mine", id="two")])
    process = await follow("--json", "--tag", "mine")
    assert json.loads(await next_line(process))["id"] == "two"

    await store.put([tagged("other", id="three"), tagged("mine", id="four")])

    assert json.loads(await next_line(process))["id"] == "four"


async def test_following_as_a_table_shows_a_call_when_it_starts_and_when_it_ends(store, follow):
    await store.put([bare(id="one")])
    process = await follow()
    assert (await next_line(process)).startswith("TIME ")
    assert " started " in await next_line(process)
    assert await next_line(process) == "  one\n"

    await store.put([record(id="one", context=Context())])

    assert " finished " in await next_line(process)
    assert await next_line(process) == "  one\n"


async def test_following_may_begin_before_the_store_is_there(tmp_path, follow):
    process = await follow("--json")
    async with asyncio.timeout(PATIENCE_S):
        said = (await process.stderr.readline()).decode()
    store = SqliteStore(DataDir(tmp_path).database)

    await store.migrate()
    await store.put([record(id="one")])
    line = await next_line(process)
    await store.close()

    assert said.startswith(f"llm-proxy: nothing is recorded in {tmp_path} yet;")
    assert json.loads(line)["id"] == "one"


async def test_ctrl_c_ends_following_cleanly(store, follow):
    await store.put([record(id="one")])
    process = await follow("--json")
    await next_line(process)

    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(PATIENCE_S):
        rest, said = await process.communicate()

    assert (process.returncode, rest, said) == (0, b"", b"")


class Busy(SqliteStore):
    """A store in which something is written just before each list and each record is read."""

    def __init__(self, path, *, writer, before_list, before_record):
        super().__init__(path, read_only=True)
        self.writer, self.before_list, self.before_record = writer, before_list, before_record

    async def find(self, query):
        await self.writer.put(self.before_list)
        return await super().find(query)

    async def get(self, completion_id, organization_id):
        await self.writer.put(self.before_record)
        self.before_record = []
        return await super().get(completion_id, organization_id)


class Printed:
    """What would be on the screen."""

    def __init__(self):
        self.calls = []

    def several(self, completions):
        self.calls += [(completion.id, completion.status.value) for completion in completions]


async def test_what_is_written_while_following_begins_is_printed_once_in_each_state(store, tmp_path):
    started = bare(id="two", started_at=NOON + timedelta(seconds=1))
    await store.put([at(0, id="one"), started])
    busy = Busy(
        DataDir(tmp_path).database, writer=store, before_list=[at(0, id="one"), at(2, id="three")],
        before_record=[at(1, id="two")],
    )  # fmt: skip
    printed = Printed()

    following = asyncio.create_task(
        _follow(Settings(data_dir=tmp_path), busy, CompletionQuery(with_bodies=True), printed)
    )
    await until(lambda: ("two", "finished") in printed.calls, "the call that ended meanwhile")
    await store.put([at(3, id="four")])
    await until(lambda: ("four", "finished") in printed.calls, "a call that came later")
    following.cancel()
    await asyncio.wait([following])
    await busy.close()

    assert printed.calls == [(call, "finished") for call in ("one", "three", "two", "four")]


async def test_it_reads_postgresql_where_the_records_are_there(postgres, logs, tmp_path):
    name = postgres.create_database()
    store = open_store(Settings.model_validate({"store": {"url": postgres.url(name)}}))
    nothing = logs(LLM_PROXY_STORE_URL=postgres.url(name))
    await store.migrate()
    await store.put([at(0, id="one"), at(1, id="two")])

    done = logs("--json", LLM_PROXY_STORE_URL=postgres.url(name))

    assert nothing.stderr.startswith(
        f"llm-proxy: nothing is recorded in PostgreSQL at 127.0.0.1:{postgres.port}/{name}"
    )
    assert ids(done.stdout) == ["two", "one"]
    assert list(tmp_path.iterdir()) == []
    await store.close()
    postgres.drop_database(name)
