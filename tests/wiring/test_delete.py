"""``llm-proxy delete`` on both stores, and how it asks."""

import asyncio
import io
import json
import sys
from datetime import timedelta

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import Context
from llm_proxy.model.query import CompletionQuery
from llm_proxy.settings.table import Settings
from llm_proxy.wiring import keys
from llm_proxy.wiring.delete import run_delete
from llm_proxy.wiring.stores import open_store
from records import NOON, record

NOTHING = {
    "ids": (), "session": None, "user": None, "before": None, "organization": None,
    "bodies_only": False, "yes": True, "as_json": True,
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request, tmp_path):
    if request.param == "sqlite":
        yield Settings(data_dir=tmp_path)
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database(request.getfixturevalue("postgres_database"))
    yield Settings.model_validate({"data_dir": str(tmp_path), "store": {"url": postgres.url(name)}})
    postgres.drop_database(name)


def in_store(settings, use):
    async def run():
        store = open_store(settings)
        try:
            await store.migrate()
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


def fill(settings, *completions):
    in_store(settings, lambda store: store.put(completions))


def left(settings, **conditions):
    page = in_store(settings, lambda store: store.find(CompletionQuery(with_bodies=True, **conditions)))
    return {completion.id: completion for completion in page.completions}


def delete(settings, **wanted):
    return run_delete(settings, **{**NOTHING, **wanted})


def test_what_meets_all_conditions_goes_and_the_receipt_says_how_much(settings, capsys):
    mine = Context(session_id="s", user_id="me")
    fill(
        settings,
        record(id="old", context=mine, started_at=NOON),
        record(id="new", context=mine, started_at=NOON + timedelta(hours=2)),
        record(id="other", context=Context(session_id="s"), started_at=NOON),
    )

    status = delete(settings, session="s", user="me", before=(NOON + timedelta(hours=1)).isoformat())

    receipt = json.loads(capsys.readouterr().out)
    assert (status, receipt["rows"], receipt["bodies"]) == (0, 1, 1)
    assert receipt["bytes"] > 0
    assert left(settings).keys() == {"new", "other"}


def test_calls_go_by_their_ids_and_again_is_nothing_more(settings, capsys):
    fill(settings, record(id="one"), record(id="two"))

    assert delete(settings, ids=("one", "one", "nobody")) == 0
    assert delete(settings, ids=("one",), as_json=False) == 1

    assert "no recorded call meets these conditions" in capsys.readouterr().err
    assert left(settings).keys() == {"two"}


def test_what_was_said_may_go_alone(settings):
    fill(settings, record(id="one"))

    assert delete(settings, ids=("one",), bodies_only=True) == 0

    assert left(settings)["one"].bodies is None


def test_another_organisation_is_named_and_the_default_one_stays(settings, capsys):
    keys.create(settings, organization="acme", scope="read", project=None, label=None, form="json")
    acme = json.loads(capsys.readouterr().out)["organization_id"]
    fill(settings, record(id="one"), record(id="one", organization_id=acme))

    assert delete(settings, before="2999-01-01", organization="acme") == 0

    assert left(settings).keys() == {"one"}
    assert left(settings, organization_id=acme) == {}
    with pytest.raises(ConfigError, match="there is no organisation 'none'"):
        delete(settings, before="1d", organization="none")


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("\n", 1), ("no\n", 1)])
def test_on_a_terminal_it_asks_first(tmp_path, monkeypatch, capsys, answer, status):
    settings = Settings(data_dir=tmp_path)
    fill(settings, record(id="one"))
    terminal = io.StringIO(answer)
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)

    assert delete(settings, ids=("one",), yes=False) == status

    assert f"delete 1 record from {tmp_path / 'store.sqlite3'} for good? [y/N]" in capsys.readouterr().err
    assert ("one" in left(settings)) == (status == 1)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "say what: --id, --session, --user or --before"),
        ({"ids": ("one",), "user": "me"}, "by --id or by conditions; choose one"),
        ({"before": "soon"}, "--before: 'soon' is no time"),
        ({"ids": ("one",), "yes": False}, "no terminal to ask at; say --yes"),
    ],
)
def test_what_is_not_clear_is_not_deleted(tmp_path, monkeypatch, wanted, message):
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    with pytest.raises(ConfigError, match=message):
        delete(Settings(data_dir=tmp_path), **wanted)

    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_ever_recorded_nothing_is_made(tmp_path):
    assert delete(Settings(data_dir=tmp_path), ids=("one",)) == 1

    assert list(tmp_path.iterdir()) == []
