import asyncio
import re
import resource
import ssl
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from llm_proxy.config import load_settings
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from llm_proxy.proxy.transport.tunnel import OutgoingProxy, directly
from llm_proxy.proxy.transport.turns import TakingTurns
from llm_proxy.settings.table import Limits, Settings, Tls
from llm_proxy.wiring.proxy import _outgoing, tls_of, transport_of
from running import CHAT, serve
from upstreams import Upstream, json_response

KEY = "sk-of-the-operator-0123456789"


@pytest.mark.parametrize("transport", ["http1", "httpx"])
async def test_every_setting_of_an_upstream_reaches_the_wire(upstream, tmp_path, transport):
    env = {"OPERATORS_KEY": KEY, "LLM_PROXY_UPSTREAM_TRANSPORT": transport}
    config = tmp_path / "llm-proxy.toml"
    config.write_text(
        'upstream_key_env = "OPERATORS_KEY"\n'
        f'[upstreams.other]\nbase_url = "{upstream.url}/deeper"\nprovider = "groq"\n'
    )

    async with serve(tmp_path, upstream.url, "--config", str(config), env=env) as product:
        await product.chat(headers={"authorization": "Bearer sk-of-the-client"})
        await product.client.post(
            f"{product.url}/~provider=other/v1/chat/completions",
            json=CHAT,
            headers={"authorization": "Bearer sk-of-the-client"},
        )
        records = await product.ended(2)

    default, other = upstream.received
    assert default.request_line == b"POST /v1/chat/completions HTTP/1.1"
    assert default.header("authorization") == f"Bearer {KEY}".encode()
    assert default.header("host") == f"127.0.0.1:{upstream.port}".encode()
    assert other.request_line == b"POST /v1/deeper/chat/completions HTTP/1.1"
    assert other.header("authorization") == b"Bearer sk-of-the-client"
    assert [(record["upstream"], record["provider"]) for record in records] == [("default", None), ("other", "groq")]


def room_for_files(pid):
    return int(re.search(r"^FDSize:\t(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much room there is")
async def test_there_is_room_for_many_connections_before_the_first_comes(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        (proxy,) = product.processes("proxy")
        room = room_for_files(proxy.pid)

    assert room >= min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


async def test_the_limits_of_the_settings_are_in_force(upstream, tmp_path):
    env = {
        "LLM_PROXY_LIMITS__MAX_URL_BYTES": "100",
        "LLM_PROXY_LIMITS__MAX_HEADER_COUNT": "20",
        "LLM_PROXY_LIMITS__MAX_BODY_BYTES": "1000",
        "LLM_PROXY_TIMEOUTS__IDLE_S": "0.2",
    }
    upstream.script(600.0, json_response({}))

    async with serve(tmp_path, upstream.url, env=env) as product:
        silent = await product.chat()
        long_url = await product.client.get(f"{product.base_url}/models?{'x' * 100}")
        many_headers = await product.client.get(
            f"{product.base_url}/models", headers=[(f"x-{number}", "1") for number in range(21)]
        )
        long_body = await product.client.post(f"{product.base_url}/files", content=b"x" * 1001)

    answers = [silent, long_url, many_headers, long_body]
    assert [answer.status_code for answer in answers] == [504, 414, 400, 413]
    assert many_headers.json()["error"]["code"] == "too_many_headers"
    assert len(upstream.received) == 1


def test_certificates_are_checked_unless_the_settings_say_otherwise():
    checked = tls_of(Settings())
    unchecked = tls_of(load_settings(flags={}, environ={"LLM_PROXY_TLS__VERIFY": "false"}))

    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert unchecked.verify_mode == ssl.CERT_NONE


def test_an_outgoing_proxy_of_the_settings_goes_before_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://environment.example:1")
    provider = Origin("https", "api.example.com", 443)
    chosen = Settings(outgoing_proxy=SecretStr("http://settings.example:2"))

    assert _outgoing(Settings())(provider) == OutgoingProxy("environment.example", 1)
    assert _outgoing(chosen)(provider) == OutgoingProxy("settings.example", 2)
    assert _outgoing(Settings(outgoing_proxy=SecretStr("off"))) is directly


@pytest.mark.parametrize("name", ["http1", "httpx"])
async def test_a_limit_of_calls_stands_before_either_transport(name):
    limited = transport_of(Settings(upstream_transport=name, limits=Limits(upstream_calls=3)))
    free = transport_of(Settings(upstream_transport=name))

    assert isinstance(limited, TakingTurns)
    assert not isinstance(free, TakingTurns)


async def test_an_upstream_that_asks_for_a_certificate_is_shown_that_of_the_settings(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    await asyncio.to_thread(
        subprocess.run,
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    server_tls.load_cert_chain(certificate, key)
    server_tls.verify_mode = ssl.CERT_REQUIRED
    upstream = Upstream()
    await upstream.start(tls=server_tls)
    settings = Settings(tls=Tls(ca_file=certificate, cert_file=certificate, key_file=key))
    transport = transport_of(settings)
    try:
        request = UpstreamRequest(
            origin=Origin("https", "localhost", upstream.port), method=b"GET", target=b"/", headers=[(b"Host", b"x")]
        )

        answer = await transport.send(request)

        assert answer.status == 200
        answer.close()
    finally:
        await transport.close()
        await upstream.stop()
