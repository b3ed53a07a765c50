"""That what is wrong with a configuration is told before anything is started, all of it."""

import asyncio
import json

import pytest

from llm_proxy.settings.table import Settings, Tls
from llm_proxy.wiring.check import run_check
from ports import free_port
from upstreams import json_response


def found(capsys, settings, **wanted):
    status = run_check(settings, as_json=True, **wanted)
    return status, {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_a_configuration_that_adds_up_is_told_so_and_nothing_is_made(tmp_path, capsys):
    status, lines = found(capsys, Settings(data_dir=tmp_path / "data"))

    assert status == 0
    assert all(line["ok"] for line in lines.values())
    assert lines["upstreams"]["says"] == "default"
    assert not (tmp_path / "data").exists()


def test_all_that_is_wrong_is_told_at_once(tmp_path, capsys):
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    (tmp_path / "file").write_text("")
    prices = tmp_path / "prices.json"
    prices.write_text("[")
    settings = Settings.model_validate(
        {
            "data_dir": tmp_path / "file",
            "host": "0.0.0.0",
            "tls": Tls(ca_file=nonsense),
            "pricing": {"file": prices},
            "routes": {"chat": {"targets": ("nobody",)}},
            "routing": {"target_hosts": ("no host/",)},
        }
    )

    status, lines = found(capsys, settings)

    assert status == 2
    wrong = {name: line["says"] for name, line in lines.items() if not line["ok"]}
    assert set(wrong) == {"data_dir", "host", "tls", "pricing.file", "routes", "routing.target_hosts"}
    assert "'nobody'" in wrong["routes"]
    assert "lets other machines in" in wrong["host"]


@pytest.mark.parametrize(("answered", "status"), [(200, 0), (404, 0), (401, 1)])
async def test_each_upstream_is_asked_with_its_key(upstream, tmp_path, capsys, answered, status):
    upstream.default = [json_response({}, status=f"{answered} Whatever")]
    settings = Settings(data_dir=tmp_path, upstream=upstream.url, upstream_key="sk-ours")

    done, lines = await asyncio.to_thread(found, capsys, settings, connect=True)

    assert done == status
    assert str(answered) in lines["reach upstreams.default"]["says"]
    assert lines["reach store"]["says"] == "will be made"
    assert upstream.received[0].request_line == b"GET /v1/models HTTP/1.1"
    assert upstream.received[0].header("authorization") == b"Bearer sk-ours"


async def test_what_cannot_be_reached_is_told(tmp_path, capsys):
    unused_port = free_port()

    settings = Settings.model_validate(
        {
            "data_dir": tmp_path,
            "upstream": f"http://127.0.0.1:{unused_port}/v1",
            "redis": {"url": f"redis://127.0.0.1:{unused_port}"},
        }
    )

    done, lines = await asyncio.to_thread(found, capsys, settings, connect=True)

    assert done == 1
    assert {name for name, line in lines.items() if not line["ok"]} == {"reach upstreams.default", "reach redis"}
