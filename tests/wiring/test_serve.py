import json
import os
import socket
import stat
import subprocess
import sys
import time

import pytest

from llm_proxy import __version__
from running import PATIENCE_S, bare_environment, serve

#: Of all processes together, idle, in bytes.
MAX_IDLE_BYTES = 150 * 2**20


def refused(tmp_path, *arguments, env=None):
    """What ``llm-proxy serve`` says when it does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_proxy", "serve", *arguments],
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
    async with serve(tmp_path, upstream.url) as product:
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

    async with serve(tmp_path, upstream.url) as product:
        answer = await product.chat()
        took_s = time.monotonic() - before

    assert answer.status_code == 200
    assert took_s < PATIENCE_S / 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells proportional memory")
async def test_all_processes_together_take_less_than_150_mb(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        await product.chat()
        await product.ended(1)
        # Shared pages are counted in shares (PSS), so that the sum is what the machine really gives.
        used = {process.pid: process.memory_full_info().pss for process in product.processes()}

    assert len(used) == 3
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
        numbers = await product.numbers()

    assert len(proxies) == 2
    assert {record["id"] for record in records} == {call.headers["x-llm-proxy-id"] for call in calls}
    assert (numbers["accepted_total"], numbers["stored_total"]) == (6, 6)


async def test_everything_in_the_data_directory_is_for_its_owner_only(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
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
        sessions = {os.getsid(process.pid) for process in product.processes()}

    assert len(sessions) == 3


async def test_it_can_be_started_again_at_once_on_the_same_data(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        first = await product.chat()
    async with serve(tmp_path, upstream.url) as product:
        second = await product.chat()
        records = await product.ended(2)
        numbers = await product.numbers()

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

    assert "they could spend the key of the upstream default: leave the keys to the clients" in line


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
