"""``llm-proxy keys``, as it is run, and beside a running ``serve``."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.config import load_settings
from llm_proxy.errors import ConfigError
from llm_proxy.wiring import keys
from running import PATIENCE_S, bare_environment, serve

ACME = {"organization": "acme", "scope": "write,read", "project": None, "label": None}


@pytest.fixture
def settings(tmp_path):
    return load_settings(flags={"data_dir": str(tmp_path / "data")}, environ={})


@pytest.fixture
def created(settings, capsys):
    """Makes a key and returns what is printed of it."""

    def create(**different):
        assert keys.create(settings, **{**ACME, "form": "json", **different}) == 0
        return json.loads(capsys.readouterr().out)

    return create


def listed(settings, capsys, **conditions):
    keys.show(settings, **{"organization": None, "as_json": True, **conditions})
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_environment_form_is_two_assignments(settings, capsys):
    keys.create(settings, **ACME, form="env")

    key, organization = capsys.readouterr().out.splitlines()

    assert re.fullmatch(r"LLM_PROXY_KEY=llmp_[A-Za-z0-9_-]{43}", key)
    assert organization == f"LLM_PROXY_ORGANIZATION={listed(settings, capsys)[0]['organization_id']}"


def test_the_form_for_people_says_that_the_key_is_not_shown_again(settings, capsys):
    keys.create(settings, **ACME, form="text")

    printed = capsys.readouterr().out

    assert "  scopes         write,read\n" in printed
    assert printed.endswith("Keep it now: it is not shown again.\n")


def test_organisation_and_project_are_made_once(created):
    first, second = created(project="search"), created(project="search")

    assert first["organization_id"] == second["organization_id"]
    assert first["project_id"] == second["project_id"]
    assert first["key"] != second["key"]


def test_the_default_organisation_is_that_of_the_calls(created):
    assert created(organization="default")["organization_id"] == "default"


def test_a_list_shows_no_key_and_what_became_of_each(settings, capsys, created):
    old, other = created(label="old one"), created(organization="other")
    keys.revoke(settings, key_id=old["id"])
    keys.show(settings, organization="acme", as_json=False)

    line = capsys.readouterr().out

    assert old["key"] not in line
    assert re.match(
        rf"{old['id']}  llmp_\S{{4}}…\S{{4}}  acme  write,read  never used  valid until .*Z  old one\n", line
    )
    assert [one["id"] for one in listed(settings, capsys)] == [old["id"], other["id"]]


def test_rotation_keeps_the_old_key_for_as_long_as_it_is_told(settings, capsys, created):
    old, before = created(label="mine"), datetime.now(UTC)

    assert keys.rotate(settings, key_id=old["id"], grace="15m", form="json") == 0

    new = json.loads(capsys.readouterr().out)
    ends = datetime.fromisoformat(listed(settings, capsys)[0]["expires_at"])
    assert (new["label"], new["scopes"]) == ("mine", ["write", "read"])
    assert new["key"] != old["key"]
    assert timedelta(minutes=15) <= ends - before < timedelta(minutes=15, seconds=PATIENCE_S)


def test_what_is_not_there_is_said_and_is_status_1(settings, capsys, created):
    created()

    assert keys.revoke(settings, key_id="none") == 1
    assert keys.rotate(settings, key_id="none", grace="0s", form="text") == 1
    assert keys.show(settings, organization="none", as_json=False) == 1

    assert [line[:20] for line in capsys.readouterr().err.splitlines()] == [
        "llm-proxy: there is ",
    ] * 3


def test_without_a_store_there_are_no_keys_and_none_is_made(settings, tmp_path):
    assert not keys.has_keys(settings)
    assert keys.show(settings, organization=None, as_json=False) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("different", "message"),
    [
        ({"scope": "all"}, "--scope: 'all' is no scope"),
        ({"organization": " "}, "--organization: must be visible text"),
        ({"project": "a\tb"}, "--project: must be visible text"),
        ({"label": "x" * 201}, "--label: must not be longer than 200"),
    ],
)
def test_what_makes_no_sense_is_said_with_its_flag(settings, different, message):
    with pytest.raises(ConfigError, match=message):
        keys.create(settings, **{**ACME, **different}, form="text")


@pytest.mark.parametrize("grace", ["-1s", "soon", "2999-01-01"])
def test_a_grace_is_a_duration(settings, grace):
    with pytest.raises(ConfigError, match="--grace: "):
        keys.rotate(settings, key_id="x", grace=grace, form="text")


async def test_a_running_serve_knows_of_a_key_and_of_its_end_within_seconds(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:

        def run(*arguments):
            done = product.command("keys", *arguments, "--data-dir", str(product.data_dir))
            assert done.returncode == 0, done.stderr
            return done.stdout

        async def status(headers=None):
            return (await product.client.get(f"{product.url}/api/v1/completions", headers=headers)).status_code

        async def becomes(expected, headers=None):
            while await status(headers) != expected:
                pass

        assert await status() == 200
        key = json.loads(run("create", "--organization", "default", "--scope", "read", "--format", "json"))
        headers = {"authorization": f"Bearer {key['key']}"}
        await becomes(401)
        assert await status(headers) == 200
        run("revoke", key["id"])
        await becomes(401, headers)


def test_the_commands_print_the_key_and_nothing_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "llm_proxy", "keys", "create", "--organization", "acme", "--scope", "write,read",
         "--format", "env", "--data-dir", str(tmp_path / "data")],
        capture_output=True, text=True, env=bare_environment(tmp_path), timeout=PATIENCE_S, check=True,
    )  # fmt: skip

    assert (len(done.stdout.splitlines()), done.stderr) == (2, "")


def test_terms_are_said_by_flags_and_listed(settings, created, capsys):
    created(scope="proxy", tags=("team-a",), models=("gpt-4o*",), requests_per_minute=60, usd_per_day="5")

    key = listed(settings, capsys)[0]

    assert key["terms"] == {
        "tags": ["team-a"],
        "models": ["gpt-4o*"],
        "requests_per_minute": 60,
        "usd_per_day": "5",
    }


@pytest.mark.parametrize("wrong", [{"usd_per_day": "much"}, {"concurrent": -1}, {"scope": "read", "concurrent": 1}])
def test_terms_that_make_no_sense_are_an_error(created, wrong):
    with pytest.raises(ConfigError, match=r"terms|scope"):
        created(**{"scope": "proxy", **wrong})
