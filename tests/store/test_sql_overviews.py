"""Sessions, users, traces and tags by their calls, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest

from llm_proxy.model.completion import Context, Status, Usage
from llm_proxy.model.query import Group, Grouping, GroupQuery, TagUse, Tally
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sqlite import SqliteStore
from records import NOON, bare, record, tagged


@pytest.fixture
def overviews(store):
    return SqlOverviews(store)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def called(session_id, minutes, **different):
    """A call of a session."""
    return record(context=Context(session_id=session_id), started_at=at(minutes), **different)


async def ids(overviews, **conditions):
    page = await overviews.groups(GroupQuery(**({"organization_id": "default", "by": Grouping.SESSION} | conditions)))
    return [group.id for group in page.groups]


async def test_a_session_is_what_its_calls_are_together(overviews, store):
    used = Usage(input_tokens=10, output_tokens=4, total_tokens=14)
    await store.put(
        [
            called("s", 0, usage=used, status=Status.FAILED),
            record(context=Context(session_id="s", session_name="evening"), started_at=at(3), usage=used),
            called("s", 2, usage=None),
            called("s", 1, organization_id="other"),
        ]
    )

    page = await overviews.groups(GroupQuery(organization_id="default", by=Grouping.SESSION))

    tally = Tally(calls=3, failed=1, input_tokens=20, output_tokens=8, total_tokens=28, calls_without_cost=3)
    assert page.groups == (Group(id="s", name="evening", first_at=at(0), last_at=at(3), tally=tally),)
    assert page.next is None


async def test_what_nobody_counted_is_unknown_and_not_zero(overviews, store):
    await store.put([bare(context=Context(session_id="s"))])

    (group,) = (await overviews.groups(GroupQuery(organization_id="default", by=Grouping.SESSION))).groups

    assert group.tally == Tally(calls=1, failed=0, calls_without_cost=1)


async def test_what_was_used_last_comes_first(overviews, store):
    calls = [called("a", 0), called("b", 1), called("a", 2), called("c", 2), called(None, 9), called("d", -1)]
    calls[3] = called("c", 2, id="zz")  # at the same time: behind all ids that are made from a time
    await store.put(calls)

    assert await ids(overviews) == ["c", "a", "b", "d"]
    assert await ids(overviews, until=at(2)) == ["b", "a", "d"]
    assert await ids(overviews, since=at(1)) == ["c", "a", "b"]
    assert await ids(overviews, id="b") == ["b"]
    assert await ids(overviews, id="none") == []
    assert await ids(overviews, organization_id="other") == []


async def test_pages_have_every_group_once(overviews, store):
    await store.put([called(f"s{number % 7} \x00", number // 3, organization_id="o") for number in range(40)])
    query, seen, pages = {"organization_id": "o", "by": Grouping.SESSION, "limit": 3}, [], 0
    following = None

    while pages == 0 or following is not None:
        page = await overviews.groups(GroupQuery(**query, after=following))
        seen += [group.id for group in page.groups]
        following, pages = page.next, pages + 1

    assert sorted(seen) == [f"s{number} \x00" for number in range(7)]
    assert pages == 3


async def test_users_and_traces_are_listed_in_the_same_way(overviews, store):
    await store.put([record(context=Context(user_id="u", trace_id="t", session_name="of no session"))])

    for by, group_id in ((Grouping.USER, "u"), (Grouping.TRACE, "t")):
        (group,) = (await overviews.groups(GroupQuery(organization_id="default", by=by))).groups

        assert (group.id, group.name, group.tally.calls) == (group_id, None, 1)


async def test_tags_are_counted_in_the_order_of_their_characters(overviews, store):
    await store.put(
        [
            tagged("b", "a", started_at=at(0)),
            tagged("a", "é", started_at=at(1)),
            tagged("a", started_at=at(2), organization_id="other"),
        ]
    )

    assert await overviews.tag_uses("default") == [
        TagUse(tag="a", calls=2, first_at=at(0), last_at=at(1)),
        TagUse(tag="b", calls=1, first_at=at(0), last_at=at(0)),
        TagUse(tag="é", calls=1, first_at=at(1), last_at=at(1)),
    ]
    assert [use.tag for use in await overviews.tag_uses("default", after="a", limit=1)] == ["b"]
    assert await overviews.tag_uses("nobody") == []


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["A", "a", "a%", "a%b", "ab", "\ud7ffx", "\U0010ffffx"]),
        ("a", ["a", "a%", "a%b", "ab"]),
        ("a%", ["a%", "a%b"]),
        ("\ud7ff", ["\ud7ffx"]),
        ("\U0010ffff", ["\U0010ffffx"]),
        ("a\U0010ffff", []),
        ("b", []),
    ],
)
async def test_tags_are_found_by_how_they_begin(overviews, store, prefix, found):
    await store.put([tagged("A", "a", "a%", "a%b", "ab", "\ud7ffx", "\U0010ffffx")])

    assert [use.tag for use in await overviews.tag_uses("default", prefix)] == found


async def test_a_store_without_tables_has_none(tmp_path):
    store = SqliteStore(tmp_path / "none.sqlite3", read_only=True)
    overviews = SqlOverviews(store)

    assert await ids(overviews) == []
    assert await overviews.tag_uses("default") == ()
    await store.close()
