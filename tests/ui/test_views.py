"""Views of projects, for who manages their organisation; one's own are in test_finding.py and test_reach.py."""

from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette

from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.model.keepsake import SavedView
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.ui.pages import routes
from llm_proxy.wiring.calls_rooms import rooms_of_calls
from reading import HOSTILE, read
from records import NOON, record


@asynccontextmanager
async def pages_for(store, key):
    app = Starlette(routes=routes(store, Gate(SqlAccounts(store)).admit, *rooms_of_calls(store)))
    headers = {**key.bearer, "origin": "http://proxy.test"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://proxy.test", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def owner(store):
    """An organisation with a view of one of its projects, and calls of that and of none."""
    owner = (await added_key(store, "acme", "write")).organization_id
    for project in ("p-1", None):
        await store.put([record(id=f"call {project}", organization_id=owner, project_id=project)])
    view = SavedView(organization_id=owner, project_id="p-1", name="Theirs", filter="-tag:none", created_at=NOON)
    await SqlKeepsakes(store).save_view(view)
    return owner


async def test_who_manages_sees_views_of_projects_with_the_calls_of_these_alone(store, owner):
    async with pages_for(store, await added_key(store, "acme", "read,admin")) as manager:
        views = await read(manager, "/views")
        calls = await read(manager, next(to for to in views.attributes("a", "href") if "project" in to))

    assert "Theirs of p-1" in " ".join(views.text.split())
    assert [to for to in calls.attributes("a", "href") if to.startswith("/calls/")] == ["/calls/call%20p-1"]


async def test_who_manages_gives_a_view_to_everybody_and_forgets_it(store, owner):
    async with pages_for(store, await added_key(store, "acme", "read,write,admin")) as manager:
        await manager.post("/views", data={"name": "Theirs (p-1)", "q": "-tag:none project:p-1"})
        await manager.post("/views/drop", data={"name": "Theirs", "project": "p-1"})

    keepsakes = SqlKeepsakes(store)
    assert [view.name for view in await keepsakes.views(owner)] == ["Theirs (p-1)"]
    assert await keepsakes.views_of_projects(owner) == []


@pytest.mark.parametrize("keys", [{"project_id": "p-2"}, {}])
async def test_others_see_none_and_forget_none(store, owner, keys):
    key = await added_key(store, "acme", "read,write" + (",admin" if keys else ""), **keys)
    async with pages_for(store, key) as other:
        page = await read(other, "/views")
        dropped = await other.post("/views/drop", data={"name": "Theirs", "project": "p-1"})

    assert "Theirs" not in page.text
    assert dropped.status_code == 403
    assert [view.name for view in await SqlKeepsakes(store).views_of_projects(owner)] == ["Theirs"]


async def test_a_view_of_a_project_is_nothing_but_text(store, owner):
    view = SavedView(
        organization_id=owner,
        project_id=HOSTILE[:20],
        name=HOSTILE[:80],
        filter=f'text:"{HOSTILE[:9]}"',
        created_at=NOON,
    )
    await SqlKeepsakes(store).save_view(view)

    async with pages_for(store, await added_key(store, "acme", "read,admin")) as manager:
        page = await read(manager, "/views")

    assert not [attributes for tag, attributes in page.elements if tag in ("b", "img") and "onerror" in attributes]
