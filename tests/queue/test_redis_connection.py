import asyncio
import subprocess

import pytest

from llm_proxy.errors import QueueUnavailable
from llm_proxy.queue.redis_address import RedisAddress, RedisTls
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_publisher import Parcel
from ports import free_port
from queue_exchanges import exchange
from redis_service import RedisServer, start_cluster, start_sentinel
from running import until

SECRET = "s3cret/p@ss:word"
QUOTED = "s3cret%2Fp%40ss%3Aword"


async def reply_of(connection):
    try:
        return await connection.run("return 'yes'", ["key"])
    finally:
        await connection.close()


def connection_to(url, **options):
    return RedisConnection(RedisAddress.parse(url), timeout_s=10.0, **options)


async def test_a_socket_of_this_machine_is_reached(shared_redis):
    assert await reply_of(connection_to(f"unix://{shared_redis.socket}?db=1")) == b"yes"


async def test_a_server_that_is_not_there_is_unavailable(redis):
    redis.kill()

    for url in (redis.url, f"unix://{redis.socket}", f"redis+cluster://127.0.0.1:{redis.port}"):
        with pytest.raises(QueueUnavailable, match="cannot be reached"):
            await reply_of(connection_to(url))


async def test_a_server_that_comes_back_is_reached_again(redis):
    connection = connection_to(redis.url)
    await connection.run("return 1", ["key"])
    redis.kill()
    with pytest.raises(QueueUnavailable):
        await connection.run("return 1", ["key"])

    redis.start()

    assert await reply_of(connection) == b"yes"


async def test_whoever_cancels_a_command_is_heard(shared_redis):
    connection, rounds = connection_to(shared_redis.url), [0]

    async def ask_for_ever():
        while True:
            await connection.run("return 1", ["key"])
            rounds[0] += 1

    for number in range(300):
        asking = asyncio.create_task(ask_for_ever())
        await asyncio.sleep(number % 20 / 10_000)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=10)
        assert done, "it goes on"
        assert asking.cancelled()
    await connection.close()

    assert rounds[0] > 0


async def test_what_a_server_says_of_itself(shared_redis, redis):
    connection, nobody = connection_to(shared_redis.url), connection_to(redis.url)
    redis.kill()

    told = [await each.information() for each in (connection, nobody)]
    await connection.close()

    assert told[0]["maxmemory_policy"] == "noeviction"
    assert told[0]["aof_enabled"] == 1
    assert told[1] == {}


async def test_a_user_gets_in_with_the_right_password_and_to_its_own_keys_only(redis):
    redis.cli("ACL", "SETUSER", "logger", "on", f">{SECRET}", "~{llm-proxy:*", "+@all", "-@admin", "-@dangerous")
    good = connection_to(f"redis://logger:{QUOTED}@127.0.0.1:{redis.port}")
    wrong = connection_to(f"redis://logger:wrong-{QUOTED}@127.0.0.1:{redis.port}")

    assert await good.run("return redis.call('SET', KEYS[1], 'x').ok", ["{llm-proxy:0}:calls"]) == b"OK"
    with pytest.raises(QueueUnavailable) as elsewhere:
        await good.run("return redis.call('SET', KEYS[1], 'x')", ["other"])
    with pytest.raises(QueueUnavailable, match="does not let us in") as refused:
        await reply_of(wrong)
    await good.close()

    assert SECRET not in str(refused.value) + str(elsewhere.value)


#: As in docs/pipeline.md.
RIGHTS = [
    *("resetchannels", "-@all", "+@stream", "+@hash", "+@string", "+@list", "+@scripting"),
    *("+@connection", "+unlink", "+exists", "+expire", "+persist", "+time", "+info"),
]


async def test_a_queue_needs_no_more_rights_than_the_documentation_says(redis, ends_at):
    redis.cli("ACL", "SETUSER", "logger", "on", ">secret", "~{test-*", *RIGHTS)
    ends = ends_at(f"redis://logger:secret@127.0.0.1:{redis.port}")
    publisher, worker = ends.publisher(), ends.worker()

    await publisher.publish([Parcel.of(exchange(request_body=bytes(range(256)) * 4000)) for _ in range(3)])
    await publisher.announce([exchange()])
    assert await ends.connection().information()
    taken = 0
    while taken < 4:
        deliveries = await worker.take(limit=10, wait_s=1)
        await worker.ack(deliveries)
        taken += len(deliveries)
    await worker.close()

    assert (await ends.depth()).stored == 3


@pytest.fixture
def certificates(tmp_path):
    """An authority that signs for localhost and 127.0.0.1."""
    directory = tmp_path / "tls"
    directory.mkdir()
    extension = directory / "extension.cnf"
    extension.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority", "-days", "2")
    openssl("req", *new, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl(
        "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extension.cnf", "-out", "server.pem",
    )  # fmt: skip
    return directory


async def test_tls_reaches_a_server_that_the_authority_vouches_for_and_no_other(tmp_path, certificates):
    tls_port = str(free_port())
    server = RedisServer(
        tmp_path / "redis",
        tls_port=tls_port,
        tls_cert_file=str(certificates / "server.pem"),
        tls_key_file=str(certificates / "server.key"),
        tls_ca_cert_file=str(certificates / "ca.pem"),
    )
    files = {"ca_file": certificates / "ca.pem"}
    mine = {"cert_file": certificates / "server.pem", "key_file": certificates / "server.key"}
    url = f"rediss://127.0.0.1:{tls_port}"
    try:
        with_all = await reply_of(connection_to(url, tls=RedisTls(**files, **mine)))
        with pytest.raises(QueueUnavailable, match="cannot be reached"):
            await reply_of(connection_to(url, tls=RedisTls(**mine)))  # an authority that is not known
        with pytest.raises(QueueUnavailable):
            await reply_of(connection_to(url, tls=RedisTls(**files)))  # no certificate of its own
    finally:
        server.stop()

    assert with_all == b"yes"


async def test_a_cluster_has_the_shards_on_all_of_its_servers(tmp_path, ends_at):
    servers = await asyncio.to_thread(start_cluster, tmp_path, nodes=3)
    try:
        for server in servers:
            server.cli("ACL", "SETUSER", "logger", "on", ">secret", "~{test-*", *RIGHTS, "+cluster", "+command")
        ends = ends_at(f"redis+cluster://logger:secret@127.0.0.1:{servers[0].port}", count=9)
        publisher, worker = ends.publisher(), ends.worker()
        sent = [exchange(request_body=bytes(range(256)) * (number % 9 * 200)) for number in range(90)]

        await publisher.publish([Parcel.of(one) for one in sent])
        on_each = [int(server.cli("DBSIZE")) for server in servers]
        taken = []
        while len(taken) < 90:
            deliveries = await worker.take(limit=50, wait_s=1)
            await worker.ack(deliveries)
            taken += deliveries
        now = await ends.depth()
        await worker.close()
    finally:
        for server in servers:
            server.stop()

    assert all(on_each)
    assert sorted(delivery.exchange.id for delivery in taken) == sorted(one.id for one in sent)
    assert (now.shipped, now.stored, now.waiting) == (90, 90, 0)


async def test_sentinels_name_the_new_master_after_a_fail_over(tmp_path, ends_at, redis):
    replica = RedisServer(tmp_path / "replica", replicaof=f"127.0.0.1 {redis.port}")
    sentinel = start_sentinel(tmp_path / "sentinel", redis)
    try:
        ends = ends_at(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", timeout_s=2.0)
        publisher, sent = ends.publisher(), [exchange() for _ in range(4)]
        await publisher.publish([Parcel.of(one) for one in sent[:2]])
        await until(lambda: replica.cli("XLEN", ends.shards[0].calls) == "2", "the replica has all")
        await until(lambda: "slaves=1" in sentinel.cli("INFO", "sentinel"), "the sentinel knows the replica")

        redis.kill()
        async with asyncio.timeout(60):
            while not await is_published(publisher, [Parcel.of(one) for one in sent[2:]]):
                pass

        assert int(replica.cli("XLEN", ends.shards[0].calls)) == 4
    finally:
        sentinel.stop()
        replica.stop()


async def test_sentinels_are_asked_over_tls_as_who_they_know(tmp_path, redis, certificates):
    sentinel = start_sentinel(
        tmp_path / "sentinel",
        redis,
        tls_port=str(tls_port := free_port()),
        tls_cert_file=str(certificates / "server.pem"),
        tls_key_file=str(certificates / "server.key"),
        tls_ca_cert_file=str(certificates / "ca.pem"),
        tls_auth_clients="no",
    )
    trusting = {"tls": RedisTls(ca_file=certificates / "ca.pem")}
    try:
        sentinel.cli("ACL", "SETUSER", "watcher", "on", f">{SECRET}", "allchannels", "+@all")
        sentinel.cli("ACL", "SETUSER", "default", "off")
        url, known = f"redis+sentinel://127.0.0.1:{tls_port}/main?sentinel_tls=yes", "sentinel_user=watcher"
        let_in = await reply_of(connection_to(f"{url}&{known}&sentinel_password={QUOTED}", **trusting))
        for wrong in (url, f"{url}&{known}&sentinel_password=guessed"):
            with pytest.raises(QueueUnavailable, match="cannot be reached"):
                await reply_of(connection_to(wrong, **trusting))
        with pytest.raises(QueueUnavailable, match="cannot be reached"):
            await reply_of(connection_to(f"{url}&{known}&sentinel_password={QUOTED}"))  # an unknown authority
    finally:
        sentinel.stop()

    assert let_in == b"yes"


async def is_published(publisher, parcels):
    try:
        await publisher.publish(parcels)
    except QueueUnavailable:
        await asyncio.sleep(0.05)
        return False
    return True
