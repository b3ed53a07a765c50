"""That the commands reach what they are for, which is tested where it is wired (tests/wiring/test_keys.py)."""

import json

import pytest
from click.testing import CliRunner

from llm_proxy.cli import cli


@pytest.fixture
def keys(tmp_path):
    def keys(*arguments):
        return CliRunner().invoke(cli, ["keys", *arguments, "--data-dir", str(tmp_path)])

    return keys


def test_keys_are_made_listed_swapped_and_revoked(keys):
    made = json.loads(keys("create", "--organization", "acme", "--scope", "read", "--format", "json").output)
    swapped = json.loads(keys("rotate", made["id"], "--grace", "1h", "--format", "json").output)
    revoked = keys("revoke", swapped["id"])
    listed = [json.loads(line) for line in keys("list", "--json").output.splitlines()]

    assert revoked.exit_code == 0
    assert [key["id"] for key in listed] == [made["id"], swapped["id"]]
    assert all(key["expires_at"] for key in listed)


def test_a_scope_is_asked_for(keys):
    done = keys("create", "--organization", "acme")

    assert done.exit_code == 2
    assert "Missing option '--scope'" in done.output
