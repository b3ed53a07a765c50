import json
import shutil
import subprocess
from pathlib import Path

import pytest

NPM = Path(__file__).with_name("npm")
#: For npm, which may have to fetch the package first.
PATIENCE_S = 100.0


def tool(name):
    found = shutil.which(name)
    assert found, f"{name} is not installed: tests/bin/install-services installs what the tests need"
    return found


def run(*command):
    done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed():
    """The locked packages in npm/node_modules, fetched only when the lock file is newer."""
    lock, marker = NPM / "package-lock.json", NPM / "node_modules" / ".package-lock.json"
    if not marker.exists() or marker.stat().st_mtime < lock.stat().st_mtime:
        run(tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        marker.touch()


@pytest.fixture(scope="module")
def understood(stand, installed):
    """What the SDK makes of the same answers without the proxy and through it."""
    node = tool("node")
    return tuple(
        json.loads(run(node, "calls.js", url, stand.direct_url, session))
        for url, session in ((stand.direct_url, "npm-direct"), (stand.proxied_url, "npm"))
    )


def test_it_understands_the_same_as_without_the_proxy(understood):
    direct, proxied = understood

    assert proxied == direct
    assert proxied["chat"]["choices"][0]["message"]["content"]
    assert len(proxied["chatStreamed"]) > 2
    assert proxied["transcription"]["text"] == "I heard 100004 bytes."


def test_a_stream_arrives_in_pieces(understood):
    _, proxied = understood

    assert proxied["inPieces"] == ["first", "second"]


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("badRequest", 400, "BadRequestError"),
        ("unauthorized", 401, "AuthenticationError"),
        ("notFound", 404, "NotFoundError"),
        ("rateLimited", 429, "RateLimitError"),
        ("serverError", 500, "InternalServerError"),
    ],
)
def test_an_error_of_the_upstream_is_the_class_that_it_is(understood, name, status, kind):
    _, proxied = understood

    assert (proxied[name]["class"], proxied[name]["status"]) == (kind, status)


def test_a_stream_that_is_cut_off_is_never_taken_for_a_whole_one(understood):
    _, proxied = understood

    assert proxied["cutOff"] != "no failure"


def test_each_call_is_on_record(stand, understood):
    records = stand.ended("npm", 16)

    assert len(records) == 16
    assert {tuple(record["tags"]) for record in records} == {("npm", "sdk")}
    assert [record["ending"] for record in records].count("complete") == 10
    failed = [record["http_status"] for record in records if record["status"] == "failed"]
    assert sorted(failed) == [200, 400, 401, 404, 429, 500]
    (cut_off,) = (record for record in records if record["ending"] == "upstream_broke_off")
    assert cut_off["response"]["choices"][0]["message"]["content"] == "partial"
