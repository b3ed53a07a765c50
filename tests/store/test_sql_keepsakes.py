"""Saved views and shared links, on both databases."""

from datetime import timedelta

from llm_proxy.model.keepsake import SavedView, Share, Shared
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from records import NOON


def view(name, **different):
    return SavedView(**({"organization_id": "a", "name": name, "filter": "tag:x", "created_at": NOON} | different))


def share(share_id, **different):
    members = {"organization_id": "a", "kind": Shared.CALL, "target": "c\x00", "created_at": NOON}
    return Share(**(members | {"id": share_id, "expires_at": NOON + timedelta(days=1)} | different))


async def test_views_are_kept_by_name_within_an_organisation(store):
    keepsakes = SqlKeepsakes(store)
    other = view("first", organization_id="b")
    for one in (view("second"), view("First", columns=("cost", "ttft")), other, view("second", filter='text:"\x00"')):
        await keepsakes.save_view(one)

    assert await keepsakes.views("a") == [view("First", columns=("cost", "ttft")), view("second", filter='text:"\x00"')]
    assert await keepsakes.drop_view("a", "second")
    assert not await keepsakes.drop_view("a", "second")
    assert not await keepsakes.drop_view("a", "first")
    assert await keepsakes.views("b") == [other]


async def test_a_link_is_there_until_it_expires_or_is_taken_back(store):
    keepsakes = SqlKeepsakes(store)
    later = share("2", kind=Shared.SESSION, created_at=NOON + timedelta(seconds=1))
    for one in (share("1"), later, share("3", organization_id="b")):
        await keepsakes.add_share(one)

    assert await keepsakes.share("1", at=NOON) == share("1")
    assert await keepsakes.share("1", at=NOON + timedelta(days=1)) is None
    assert await keepsakes.shares("a", at=NOON) == [later, share("1")]
    assert await keepsakes.shares("a", at=NOON + timedelta(days=1)) == []
    assert not await keepsakes.drop_share("b", "1")
    assert await keepsakes.drop_share("a", "1")
    assert await keepsakes.share("1", at=NOON) is None


async def test_views_and_links_of_a_project_stand_beside_those_of_the_whole(store):
    keepsakes = SqlKeepsakes(store)
    whole, mine = view("first"), view("first", project_id="p", filter="tag:y")
    for one in (whole, mine):
        await keepsakes.save_view(one)
    for link in (share("1"), share("2", project_id="p"), share("3", project_id="q")):
        await keepsakes.add_share(link)

    assert await keepsakes.views("a") == [whole]
    assert await keepsakes.views("a", project_id="p") == [mine]
    assert [one.id for one in await keepsakes.shares("a", at=NOON)] == ["1", "2", "3"]
    assert await keepsakes.shares("a", at=NOON, project_id="p") == [share("2", project_id="p")]
    assert not await keepsakes.drop_share("a", "3", project_id="p")
    assert not await keepsakes.drop_view("a", "first", project_id="q")
    assert await keepsakes.drop_view("a", "first", project_id="p")
    assert await keepsakes.views("a") == [whole]
