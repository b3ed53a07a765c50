import ssl

import pytest

from llm_proxy.config import load_settings
from llm_proxy.settings import Settings
from llm_proxy.wiring.proxy import _tls
from running import CHAT, serve
from upstreams import json_response

KEY = "sk-of-the-operator-0123456789"


@pytest.mark.parametrize("transport", ["http1", "httpx"])
async def test_every_setting_of_an_upstream_reaches_the_wire(upstream, tmp_path, transport):
    config = tmp_path / "llm-proxy.toml"
    config.write_text(
        f'upstream_key_env = "OPERATORS_KEY"\nupstream_transport = "{transport}"\n'
        f'[upstreams.other]\nbase_url = "{upstream.url}/deeper"\nprovider = "groq"\n'
    )

    async with serve(tmp_path, upstream.url, "--config", str(config), env={"OPERATORS_KEY": KEY}) as product:
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
    checked = _tls(Settings())
    unchecked = _tls(load_settings(flags={}, environ={"LLM_PROXY_TLS__VERIFY": "false"}))

    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert unchecked.verify_mode == ssl.CERT_NONE
