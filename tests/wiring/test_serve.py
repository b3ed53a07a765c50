import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time

import pytest

from llm_proxy import __version__
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.serve import Place, assignments_of
from redis_service import RedisServer
from running import PATIENCE_S, bare_environment, run, serve, until

#: Of all processes together, idle, in bytes.
MAX_IDLE_BYTES = 190 * 2**20
#: No process can be nicer.
MAX_NICE = 19


def refused(tmp_path, *arguments, command="serve", env=None):
    """What a command says when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_proxy", command, *arguments],
        capture_output=True,
        text=True,
        env={**bare_environment(tmp_path), **(env or {})},
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


async def test_it_says_what_to_export_where_to_look_and_where_the_data_lies(upstream, tmp_path):
    async with serve(tmp_path, upstream.url, first=True) as product:
        pass

    assert product.printed().splitlines() == [
        f"llm-proxy {__version__} is ready; Ctrl-C stops it",
        "",
        f"  export OPENAI_BASE_URL={product.url}/v1",
        "",
        f"  calls go to    {upstream.url}",
        f"  look at them   {product.url}/  or  llm-proxy logs --data-dir {product.data_dir}",
        f"  data lies in   {product.data_dir}",
    ]


async def test_from_start_to_first_answer_it_takes_seconds_at_most(upstream, tmp_path):
    before = time.monotonic()

    async with serve(tmp_path, upstream.url, first=True) as product:
        answer = await product.chat()
        took_s = time.monotonic() - before

    assert answer.status_code == 200
    assert took_s < PATIENCE_S / 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells proportional memory")
async def test_all_processes_together_take_less_than_190_mb(upstream, tmp_path):
    async with serve(tmp_path, upstream.url, first=True) as product:
        await product.chat()
        await product.ended(1)
        housekeeper = await product.child("housekeeper")
        its_way = housekeeper.nice()
        await until((product.data_dir / "counters/housekeeper-0.ledger").exists, "its beginning")
        give_way = {role: (await product.child(role)).nice() for role in ("proxy", "store")}
        # Shared pages are counted in shares (PSS), so that the sum is what the machine really gives.
        used = {process.pid: process.memory_full_info().pss for process in product.processes()}

    assert len(used) == 4
    # Where the tests themselves give way, it may be as far as that goes.
    assert give_way["proxy"] < give_way["store"] < its_way or its_way == MAX_NICE
    assert sum(used.values()) < MAX_IDLE_BYTES


async def test_several_workers_share_the_port_and_the_record(upstream, tmp_path):
    async with serve(tmp_path, upstream.url, "--workers", "2") as product:
        proxies = product.processes("proxy")
        # One of them is held up; the other takes its share until it goes on.
        proxies[0].suspend()
        calls = [await product.chat(headers={"connection": "close"}) for _ in range(3)]
        proxies[0].resume()
        proxies[1].suspend()
        calls += [await product.chat(headers={"connection": "close"}) for _ in range(3)]
        proxies[1].resume()
        records = await product.ended(6)
        numbers = await product.numbers(stored_total=6, overhead_seconds_count=6)

    assert len(proxies) == 2
    assert all(0 < record["overhead_s"] < record["sent_s"] < record["ttfb_s"] for record in records)
    assert {record["id"] for record in records} == {call.headers["x-llm-proxy-id"] for call in calls}
    assert (numbers["accepted_total"], numbers["stored_total"]) == (6, 6)


async def test_everything_in_the_data_directory_is_for_its_owner_only(upstream, tmp_path):
    async with serve(tmp_path, upstream.url, first=True) as product:
        await product.chat()
        await product.ended(1)
        open_to_others = [path for path in product.data_dir.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]

    assert open_to_others == []


def test_a_port_in_use_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        line = refused(tmp_path, "--port", str(port), "--data-dir", str(tmp_path))

    assert (
        line == f"llm-proxy: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --host or --port"
    )


async def test_a_data_directory_in_use_is_said_in_one_line(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        line = refused(tmp_path, "--port", "0", "--data-dir", str(product.data_dir))

    assert line == (
        f"llm-proxy: data_dir: {product.data_dir} is in use by another llm-proxy; choose another --data-dir"
    )


def test_an_unknown_key_is_said_in_one_line_with_file_key_and_reason(tmp_path):
    file = tmp_path / "llm-proxy.toml"
    file.write_text("[journal]\nfsnyc = 'always'\n")

    line = refused(tmp_path, "--config", str(file))

    assert line.startswith(f"llm-proxy: {file}:2: journal.fsnyc: is no setting")


def test_a_bad_variable_is_said_in_one_line(tmp_path):
    line = refused(tmp_path, env={"LLM_PROXY_PORT": "high"})

    assert line.startswith("llm-proxy: LLM_PROXY_PORT")


async def test_an_ipv6_address_is_told_as_a_url(upstream, tmp_path):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")

    async with serve(tmp_path, upstream.url, "--host", "::1") as product:
        answer = await product.chat()

    assert product.url.startswith("http://[::1]:")
    assert answer.status_code == 200


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_ctrl_c_in_a_terminal_reaches_the_supervisor_alone(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        processes = product.processes()
        groups = {os.getpgid(process.pid) for process in processes}
        sessions = {os.getsid(process.pid) for process in processes}

    assert len(groups) == len(processes) >= 3
    assert len(sessions) == 1  # between which Linux may weigh, so that none of them would give way to another one


async def test_it_can_be_started_again_at_once_on_the_same_data(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        first = await product.chat()
    async with serve(tmp_path, upstream.url) as product:
        second = await product.chat()
        records = await product.ended(2)
        numbers = await product.numbers(stored_total=2)

    assert [record["id"] for record in records] == [
        first.headers["x-llm-proxy-id"],
        second.headers["x-llm-proxy-id"],
    ]
    assert (numbers["accepted_total"], numbers["stored_total"]) == (2, 2)


KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback_it_does_not_start_without_a_key_and_says_what_to_do(tmp_path, host):
    if host == "::" and not has_ipv6():
        pytest.skip("this machine has no IPv6")

    line = refused(tmp_path, "--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))

    assert line.startswith(
        f"llm-proxy: {host} lets other machines in, and no key guards the records: set LLM_PROXY_ADMIN_KEY"
    )
    assert "`llm-proxy keys create --organization NAME --scope write,read`; or listen on 127.0.0.1" in line


def test_beyond_loopback_it_does_not_let_others_spend_a_providers_key(tmp_path):
    env = {"LLM_PROXY_ADMIN_KEY": KEY, "LLM_PROXY_UPSTREAM_KEY_ENV": "KEY", "KEY": "sk-1"}

    line = refused(tmp_path, "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path), env=env)

    assert "they could spend the key of the upstream default: let calls need a key" in line
    assert "leave the keys to the clients" in line


async def test_beyond_loopback_a_key_in_the_environment_opens_it(upstream, tmp_path):
    env = {"LLM_PROXY_ADMIN_KEY": KEY}
    async with serve(tmp_path, upstream.url, "--host", "0.0.0.0", env=env) as product:
        without = await product.client.get(f"{product.url}/api/v1/completions")
        opened = await product.client.get(
            f"{product.url}/api/v1/completions", headers={"authorization": f"Bearer {KEY}"}
        )

    assert (without.status_code, opened.status_code) == (401, 200)
    assert KEY not in product.log.read_text() + product.printed()


def made_key(data_dir, *, home):
    """A key to read what is recorded in a directory."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_proxy", "keys", "create", "--organization", "default", "--scope", "read",
         "--format", "json", "--data-dir", str(data_dir)],
        capture_output=True, text=True, env=bare_environment(home), timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)["key"]


async def test_beyond_loopback_a_key_in_the_store_is_enough(upstream, tmp_path):
    key = made_key(tmp_path / "data", home=tmp_path)

    async with serve(tmp_path, upstream.url, "--host", "0.0.0.0") as product:
        await product.chat()
        await product.ended(1)
        listed = await product.client.get(f"{product.url}/api/v1/completions", headers={"x-log10-token": key})

    assert len(listed.json()["completions"]) == 1


async def test_what_is_open_beyond_loopback_by_choice_is_warned_of(upstream, tmp_path):
    env = {"LLM_PROXY_AUTH__OPEN": "true"}
    async with serve(tmp_path, upstream.url, "--host", "0.0.0.0", env=env) as product:
        page = await product.client.get(f"{product.url}/", headers={"host": "proxy.test"})

    assert page.status_code == 200
    (warning,) = [line for line in product.logged() if line["level"] == "warning"]
    assert warning["event"] == "open to whoever reaches the port, by auth.open"


def test_a_host_that_is_unknown_is_said_in_one_line(tmp_path):
    line = refused(tmp_path, "--host", "no such host", "--data-dir", str(tmp_path))

    assert line.startswith("llm-proxy: cannot listen on no such host:8080: ")


@pytest.mark.parametrize("command", ["proxy", "worker"])
async def test_a_role_that_needs_redis_says_so_in_one_line(tmp_path, command):
    line = refused(tmp_path, "--port", "0", "--data-dir", str(tmp_path), command=command)

    assert line == (
        f"llm-proxy: redis.url: `llm-proxy {command}` needs Redis: set LLM_PROXY_REDIS_URL, or run `llm-proxy serve`"
    )


@pytest.fixture
def database(postgres):
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def services(redis, database):
    """What the roles are told, with a queue and a database of the test."""
    return {
        "LLM_PROXY_REDIS_URL": redis.url,
        "LLM_PROXY_STREAMS__PREFIX": f"test-{os.urandom(4).hex()}",
        "LLM_PROXY_STORE_URL": database,
    }


@pytest.mark.parametrize("with_redis", [False, True], ids=["embedded", "redis"])
@pytest.mark.parametrize("command", ["serve", "proxy", "worker", "store"])
def test_what_can_wait_has_one_process_wherever_something_is_stored_and_none_waits_for_it(command, with_redis):
    settings = Settings.model_validate({"redis": {"url": "redis://h" if with_redis else None}})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        planned = assignments_of(settings, command, Place(listener, (0, 1), None))

    assert [one.role for one in planned if one.can_wait] == ([] if command == "proxy" else ["housekeeper"])


def roles_of(product):
    return [role for role in ("proxy", "shipper", "store", "worker") for _ in product.processes(role)]


async def listed(product, count):
    """The records of the API of ``product``, as soon as there are so many."""

    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await product.client.get(f"{product.url}/api/v1/completions")
            found = [record for record in answer.json().get("completions", []) if record["ending"]]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_each_role_runs_by_itself_and_together_they_pass_a_call_on(upstream, tmp_path, services):
    places = [tmp_path / name for name in ("proxy", "worker", "store")]
    for place in places:
        place.mkdir()
    async with (
        run(places[0], "proxy", "--upstream", upstream.url, env=services) as proxy,
        run(places[1], "worker", env={**services, "LLM_PROXY_STREAMS__WORKERS": "2"}) as worker,
        run(places[2], "store", env=services) as store,
    ):
        answer = await proxy.chat()
        (record,) = await listed(store, 1)
        page = await store.client.get(f"{store.url}/")
        no_page = await proxy.client.get(f"{proxy.url}/")
        ready = [await product.client.get(f"{product.url}/readyz") for product in (proxy, worker, store)]
        shipped, stored = await proxy.numbers(), await worker.numbers(stored_total=1)
        roles = [roles_of(product) for product in (proxy, worker, store)]
        statuses = [await product.stop() for product in (proxy, worker, store)]

    assert record["id"] == answer.headers["x-llm-proxy-id"]
    assert (page.status_code, no_page.status_code) == (200, 404)
    assert "records are at the port of `llm-proxy store`" in no_page.json()["error"]["message"]
    assert [(one.status_code, one.text) for one in ready] == [(200, "ok\n")] * 3
    assert (shipped["accepted_total"], shipped["shipped_total"], stored["stored_total"]) == (1, 1, 1)
    assert roles == [["proxy", "shipper"], ["worker", "worker"], ["store"]]
    assert statuses == [0, 0, 0]
    assert not (places[2] / "data" / "store.sqlite3").exists()


async def test_all_in_one_with_redis_is_all_roles_at_one_port(upstream, tmp_path, services):
    async with serve(tmp_path, upstream.url, env=services) as product:
        answer = await product.chat()
        (record,) = await listed(product, 1)
        roles = roles_of(product)
        status = await product.stop()

    assert record["id"] == answer.headers["x-llm-proxy-id"]
    assert roles == ["proxy", "shipper", "store", "worker"]
    assert status == 0
    assert [line for line in product.logged() if line["level"] == "error"] == []


async def test_without_redis_the_journal_is_taken_into_postgresql(upstream, tmp_path, database):
    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_STORE_URL": database}) as product:
        answer = await product.chat()
        (record,) = await listed(product, 1)

    assert record["id"] == answer.headers["x-llm-proxy-id"]
    assert "look at them   " in product.printed()
    assert not (product.data_dir / "store.sqlite3").exists()


def warnings_of(product):
    return sorted((line["role"], line["event"]) for line in product.logged() if line["level"] != "info")


async def test_redis_and_postgresql_may_come_when_they_like(upstream, tmp_path, postgres):
    redis = RedisServer(tmp_path / "redis")
    redis.kill()
    name = f"late_{os.urandom(4).hex()}"
    env = {"LLM_PROXY_REDIS_URL": redis.url, "LLM_PROXY_STORE_URL": postgres.url(name)}
    try:
        async with serve(tmp_path, upstream.url, env=env) as product:
            answer = await product.chat()
            page = await product.client.get(f"{product.url}/api/v1/completions")
            await until(lambda: len(warnings_of(product)) == 3, "a word of each of them")
            redis.start()
            postgres._execute("CREATE DATABASE {}", name)
            (record,) = await listed(product, 1)
            status = await product.stop()
    finally:
        redis.stop()
        postgres.drop_database(name)

    assert (answer.status_code, page.status_code) == (200, 503)
    assert record["id"] == answer.headers["x-llm-proxy-id"]
    assert status == 0
    assert warnings_of(product) == [
        ("shipper-0", "the queue is not available; calls wait in the journal"),
        ("store-0", "the store cannot be opened"),
        ("worker-0", "the store cannot be opened"),
    ]


async def test_the_roles_of_one_host_share_a_data_directory_and_none_is_there_twice(upstream, tmp_path, services):
    async with (
        run(tmp_path, "proxy", "--upstream", upstream.url, env=services) as proxy,
        run(tmp_path, "worker", env=services),
        run(tmp_path, "store", env=services) as store,
    ):
        await proxy.chat()
        await listed(store, 1)
        numbers = await store.numbers(stored_total=1)
        lines = [
            refused(tmp_path, "--port", "0", "--data-dir", str(tmp_path / "data"), command=command, env=services)
            for command in ("proxy", "worker", "store", "serve")
        ]

    assert (numbers["accepted_total"], numbers["shipped_total"], numbers["stored_total"]) == (1, 1, 1)
    assert all("is in use by another llm-proxy" in line for line in lines)


async def test_a_worker_has_no_records_at_its_port_and_needs_no_key_beyond_loopback(tmp_path, services):
    async with run(tmp_path, "worker", "--host", "0.0.0.0", env=services) as worker:
        answer = await worker.client.get(f"{worker.url}/api/v1/completions")

    assert answer.status_code == 404


def test_a_store_beyond_loopback_wants_a_key_even_if_it_cannot_look_for_one(tmp_path):
    env = {"LLM_PROXY_STORE_URL": "postgresql://127.0.0.1:1/none"}

    line = refused(tmp_path, "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path), command="store", env=env)

    assert "whether a key guards the records cannot be found out" in line
    assert line.endswith("set LLM_PROXY_ADMIN_KEY; or listen on 127.0.0.1")
