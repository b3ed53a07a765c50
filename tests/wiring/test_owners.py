"""Whose records commands are about, on a store of a file."""

import asyncio
import json
from datetime import timedelta

import pytest

from empty_stores import empty_store
from llm_proxy.errors import ConfigError
from llm_proxy.model.account import Organization
from llm_proxy.model.query import CompletionQuery
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.wiring.delete import run_delete
from llm_proxy.wiring.export import run_export
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.logs import show_logs
from llm_proxy.wiring.reprice import run_reprice
from llm_proxy.wiring.status import show_status
from llm_proxy.wiring.stores import open_store
from records import NOON, record

WHOSE = ("default", "id-acme", "id-empty")
CONDITIONS = {
    "tags": (), "session": None, "user": None, "model": None, "status": None, "since": None, "search": None,
}  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    """Seven calls of one organisation and four of another, which take turns in time."""
    settings = Settings(data_dir=tmp_path)
    DataDir(tmp_path).prepare()
    empty_store(DataDir(tmp_path).database)

    async def fill(store):
        for name in ("acme", "empty"):
            await SqlAccounts(store).add_organization(Organization(id=f"id-{name}", name=name, created_at=NOON))
        for number in range(11):
            started_at = NOON + timedelta(seconds=number)
            whose = WHOSE[number % 3 == 1]
            await store.put([record(id=f"{number:02}", organization_id=whose, started_at=started_at)])

    in_store(settings, fill)
    return settings


def in_store(settings, use):
    async def run():
        store = open_store(settings)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


def left(settings):
    async def look(store):
        found = {whose: await store.find(CompletionQuery(organization_id=whose)) for whose in WHOSE}
        return {whose: [one.id for one in page.completions] for whose, page in found.items()}

    return in_store(settings, look)


DEFAULT = ["09", "08", "06", "05", "03", "02", "00"]
ACME = ["10", "07", "04", "01"]
ASKED = [
    ({}, DEFAULT),
    ({"organization": "default"}, DEFAULT),
    ({"organization": "acme"}, ACME),
    ({"organization": "id-acme"}, ACME),
    ({"organization": "empty"}, []),
    ({"everywhere": True}, sorted(DEFAULT + ACME, reverse=True)),
]


def listed(capfdbinary):
    return [json.loads(line)["id"] for line in capfdbinary.readouterr().out.splitlines()]


@pytest.mark.parametrize(("whose", "ids"), ASKED)
def test_logs_and_exports_are_of_whom_they_are_asked_for(settings, capfdbinary, whose, ids):
    show_logs(settings, completion_id=None, as_json=True, follow=False, limit=0, **CONDITIONS, **whose)
    shown = listed(capfdbinary)
    run_export(settings, format_="jsonl", output=None, limit=0, **CONDITIONS, **whose)
    exported = listed(capfdbinary)

    assert shown == ids
    assert sorted(exported, reverse=True) == ids


@pytest.mark.parametrize("limit", range(1, 13))
def test_the_newest_of_all_organisations_are_listed_in_order_up_to_a_limit(settings, capfdbinary, limit):
    show_logs(settings, completion_id=None, as_json=True, follow=False, limit=limit, everywhere=True, **CONDITIONS)

    assert listed(capfdbinary) == [f"{number:02}" for number in range(10, -1, -1)][:limit]


def test_a_limit_is_for_all_that_is_exported(settings, capfdbinary):
    run_export(settings, format_="jsonl", output=None, limit=9, everywhere=True, **CONDITIONS)

    assert listed(capfdbinary) == DEFAULT + ACME[:2]


def test_one_call_is_shown_by_its_id_where_it_is(settings, capfdbinary):
    def show(**whose):
        status = show_logs(settings, completion_id="04", as_json=True, follow=False, limit=50, **CONDITIONS, **whose)
        return status, listed(capfdbinary)

    assert show() == (1, [])
    assert show(organization="acme") == (0, ["04"])
    assert show(everywhere=True) == (0, ["04"])


@pytest.mark.parametrize(("whose", "ids"), ASKED)
def test_what_is_deleted_is_of_whom_it_is_asked_for(settings, capsys, whose, ids):
    before = left(settings)

    run_delete(
        settings, ids=(), session=None, user=None, before=(NOON + timedelta(days=1)).isoformat(),
        bodies_only=False, yes=True, as_json=True, **({"organization": None} | whose),
    )  # fmt: skip

    assert json.loads(capsys.readouterr().out)["rows"] == len(ids)
    assert left(settings) == {one: [each for each in calls if each not in ids] for one, calls in before.items()}


@pytest.mark.parametrize(("whose", "ids"), ASKED)
def test_what_is_priced_again_is_of_whom_it_is_asked_for(settings, capsys, whose, ids):
    run_reprice(settings, limit=0, **CONDITIONS, **whose)

    assert f"looked at {len(ids)} records" in capsys.readouterr().out


def test_the_status_tells_how_much_is_stored_of_each(settings, capsys):
    show_status(settings, as_json=True)
    alone = json.loads(capsys.readouterr().out)
    show_status(settings, as_json=True, everywhere=True)
    told = json.loads(capsys.readouterr().out)["organizations"]
    show_status(settings, as_json=False, organization="id-acme")
    for_people = capsys.readouterr().out

    assert "organizations" not in alone
    assert {name: size["records"] for name, size in told.items()} == {"default": 7, "acme": 4, "empty": 0}
    assert told["acme"]["record_bytes"] > 1000
    assert "acme (in the store)\n  records            4\n" in for_people


def test_an_organisation_that_there_is_not_and_a_contradiction_are_told(settings):
    with pytest.raises(ConfigError, match="there is no organisation 'nobody'"):
        show_status(settings, as_json=True, organization="nobody")
    with pytest.raises(ConfigError, match="choose one"):
        run_reprice(settings, limit=0, organization="acme", everywhere=True, **CONDITIONS)
    with pytest.raises(ConfigError, match="one organisation"):
        show_logs(settings, completion_id=None, as_json=True, follow=True, limit=0, everywhere=True, **CONDITIONS)
