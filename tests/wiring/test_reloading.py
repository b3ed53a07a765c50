"""A configuration that changes under a running product: real processes, real calls."""

import asyncio
import json
import signal

import httpx
import psutil
from websockets.asyncio.client import connect

from running import CHAT, PATIENCE_S, serve, until
from sockets import talking
from upstreams import LAST_CHUNK, SSE_HEAD, chat_answer, chat_chunk, chunk, json_response

STREAM = {**CHAT, "stream": True}


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def write(there, text):
    path = there / "llm-proxy.toml"
    path.write_text(text)
    return path


def lines(product, event):
    return [line for line in product.logged() if line["event"] == event]


async def reload(product):
    """Send SIGHUP and wait until it says what came of it; the line that says so."""

    def said():
        return [line for line in product.logged() if line["event"].startswith("configuration ")]

    before = len(said())
    product.process.send_signal(signal.SIGHUP)
    return (await until(lambda: said()[before:], "what came of it"))[0]


class Load:
    """Clients that call one after the other, each on a connection that it keeps."""

    def __init__(self, url, clients):
        self.url = url
        self.answers = []
        self._stop = asyncio.Event()
        self._running = [asyncio.create_task(self._call()) for _ in range(clients)]

    async def _call(self):
        async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
            while not self._stop.is_set():
                answer = await client.post(self.url, json=CHAT)
                self.answers.append(answer)
                await asyncio.sleep(0.01)  # about as a client that thinks

    def since(self, count):
        return [answer.json()["choices"][0]["message"]["content"] for answer in self.answers[count:]]

    async def end(self):
        self._stop.set()
        await asyncio.gather(*self._running)


async def test_calls_streams_and_sockets_go_through_a_reload_and_the_new_configuration_is_in_force(upstream, tmp_path):
    go_on = asyncio.Event()
    streamed = [SSE_HEAD, chunk(chat_chunk("before")), go_on, chunk(chat_chunk("after")), LAST_CHUNK]

    def choose(request):
        if b'"stream"' in request.body:
            return streamed
        return [json_response(chat_answer("old" if request.head.startswith(b"POST /old/") else "new"))]

    upstream.choose = choose
    root = upstream.url.removesuffix("/v1")
    async with talking(echo) as socket_url:
        sockets = f'[upstreams.sock]\nbase_url = "{socket_url}"\n'
        path = write(tmp_path, f'{sockets}[upstreams.one]\nbase_url = "{root}/old/v1"\n')
        async with serve(tmp_path, upstream.url, "--config", str(path)) as product:
            old = {role: await product.child(role) for role in ("proxy", "store")}
            load = Load(f"{product.url}/one/v1/chat/completions", clients=4)
            session = await connect(f"{product.url.replace('http', 'ws')}/sock/v1/realtime", proxy=None)
            await session.send("first")
            stream = product.client.stream("POST", f"{product.url}/one/v1/chat/completions", json=STREAM)
            async with stream as response:
                pieces = response.aiter_raw()
                seen = await anext(pieces)
                await until(lambda: len(load.answers) >= 20, "some calls")

                write(tmp_path, f'{sockets}[upstreams.one]\nbase_url = "{root}/new/v1"\n[streams]\nshards = 7\n')
                said = await reload(product)
                await until(lambda: load.since(-20) == ["new"] * 20, "calls by the new one only")
                await load.end()
                await session.send("second")
                echoed = [await session.recv(), await session.recv()]
                still_there = psutil.pid_exists(old["proxy"].pid)
                go_on.set()
                seen += b"".join([piece async for piece in pieces])
            await session.close()
            await until(lambda: len(product.processes("proxy")) == 1, "the end of the old proxy")
            await until(lambda: len(product.processes("store")) == 1, "the end of the old store")
            records = await product.ended(len(load.answers) + 2)
            numbers = await product.numbers()
            account = json.loads(product.command("status", "--json", "--data-dir", str(product.data_dir)).stdout)

            assert (said["event"], said["changed"]) == ("configuration reloaded", "upstreams.one")
            assert [line["settings"] for line in product.logged() if "settings" in line] == ["streams.shards"]
            assert {answer.status_code for answer in load.answers} == {200}
            assert echoed == ["first", "second"]
            assert b"after" in seen
            assert still_there
            assert old["proxy"].pid not in {process.pid for process in product.processes()}
            assert old["store"].pid not in {process.pid for process in product.processes()}
            called = [answer.headers["x-llm-proxy-id"] for answer in load.answers]
            assert set(called) < {record["id"] for record in records}
            assert len(records) == len({record["id"] for record in records}) == len(called) + 2
            assert {record["ending"] for record in records} == {"complete"}
            assert numbers["accepted_total"] == numbers["stored_total"] == len(records)
            assert numbers["waiting"] == numbers["in_flight"] == numbers['restarts_total{role="proxy"}'] == 0
            assert account["host"]["missing"] == 0
            assert not [line for line in product.logged() if line["level"] == "error"]

            # given: a file that is wrong
            where = write(tmp_path, f'{sockets}[upstreams.one]\nbase_url = "ftp://nowhere"\n')
            await product.child("housekeeper")
            stays = {process.pid for process in product.processes()}

            wrong = await reload(product)
            answer = await product.client.post(f"{product.url}/one/v1/chat/completions", json=CHAT)

            assert wrong["event"].startswith("configuration not reloaded")
            assert f"{where}:4: upstreams.one.base_url" in wrong["problem"]
            assert answer.json()["choices"][0]["message"]["content"] == "new"
            assert {process.pid for process in product.processes()} == stays
            assert (await product.numbers())["config_reload_failed"] == 1

            # given: one that is right again, and that leaves the store alone
            write(tmp_path, f'{sockets}[upstreams.one]\nbase_url = "{root}/new/v1"\n[limits]\nmax_body_bytes = 9\n')
            stores = {process.pid for process in product.processes("store")}

            said = await reload(product)
            answer = await product.client.post(f"{product.url}/one/v1/chat/completions", json=CHAT)

            assert said["changed"] == "limits.max_body_bytes"
            assert answer.status_code == 413
            assert {process.pid for process in product.processes("store")} == stores
            assert (await product.numbers())["config_reload_failed"] == 0


async def test_limits_hold_over_reloads_that_come_while_others_drain_and_sigterm_ends_all_of_them(upstream, tmp_path):
    go_on = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(chat_chunk("before")), go_on, LAST_CHUNK)
    path = write(tmp_path, "[timeouts]\nidle_s = 100\n")
    async with serve(tmp_path, upstream.url, "--config", str(path), "--workers", "2") as product:
        terms = ["--scope", "proxy", "--requests-per-minute", "4", "--concurrent", "3", "--format", "json"]
        made = product.command("keys", "create", "--organization", "a", *terms, "--data-dir", str(product.data_dir))
        headers = {"x-llm-key": json.loads(made.stdout)["key"]}
        stream = product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM)
        async with stream as response:
            pieces = response.aiter_raw()
            assert b"before" in await anext(pieces)
            while (first := await product.chat(headers=headers)).status_code == 401:
                pass  # until the proxies know the key
            statuses = [first.status_code]
            for idle_s in (200, 300):
                write(tmp_path, f"[timeouts]\nidle_s = {idle_s}\n")
                said = await reload(product)
                assert said["changed"] == "timeouts.idle_s"
                statuses += [(await product.chat(headers=headers)).status_code for _ in range(2)]
            refused = (await product.chat(headers=headers)).status_code
            draining = len(product.processes("proxy"))
            product.process.terminate()
            go_on.set()
            assert [piece async for piece in pieces] == []
        status = await product.end()
        account = json.loads(product.command("status", "--json", "--data-dir", str(product.data_dir)).stdout)["host"]

        assert statuses == [200, 200, 200, 200, 429]
        assert refused == 429
        assert draining > 2
        assert status == 0
        assert product.processes() == []
        assert account["accepted"] == account["stored"] >= 7
        assert account["missing"] == account["waiting"] == 0
        assert not [line for line in product.logged() if line["level"] == "error"]


async def test_with_redis_each_role_is_replaced_where_it_reads_what_has_changed_and_nothing_is_lost(
    upstream, tmp_path, redis
):
    path = write(tmp_path, '[log]\nlevel = "info"\n')
    env = {"LLM_PROXY_REDIS_URL": redis.url}
    async with serve(tmp_path, upstream.url, "--config", str(path), env=env) as product:
        roles = ("proxy", "shipper", "store", "worker")
        before = {role: (await product.child(role)).pid for role in roles}
        load = Load(f"{product.base_url}/chat/completions", clients=2)
        write(tmp_path, '[log]\nlevel = "debug"\n')
        said = await reload(product)
        for role, pid in before.items():
            await until(
                lambda r=role, p=pid: [one.pid for one in product.processes(r)] not in ([], [p]), f"a new {role}"
            )
            await until(lambda r=role: len(product.processes(r)) == 1, f"the end of the old {role}")
        count = len(load.answers)
        await until(lambda: len(load.answers) > count + 4, "calls after that")
        await load.end()
        records = await product.ended(len(load.answers))
        status = product.command("status", "--check", "--data-dir", str(product.data_dir))

        assert said["changed"] == "log.level"
        assert {answer.status_code for answer in load.answers} == {200}
        assert {record["id"] for record in records} == {answer.headers["x-llm-proxy-id"] for answer in load.answers}
        assert status.returncode == 0, status.stdout
        assert not [line for line in product.logged() if line["level"] in ("error", "warning")]
