"""Sessions that nobody named: whichever way the calls of a conversation arrive, they end up in one."""

from datetime import timedelta
from itertools import permutations

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from llm_proxy.attribution.conversation import turns_of
from llm_proxy.model.completion import Context, Status, Turns
from llm_proxy.model.exchange import Endpoint
from llm_proxy.model.query import CompletionQuery, Grouping, GroupQuery
from llm_proxy.store.bodies import Packer
from llm_proxy.store.rows import to_rows
from llm_proxy.store.sql import completions
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_sizes import organization_sizes
from llm_proxy.store.threads import hashes_of, infer
from records import NOON, record

NOBODY = Context()


def said(*contents, answer, place=0, **different):
    """A call whose messages are these, question and answer by turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    response = None if answer is None else {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    members = {
        "started_at": NOON + timedelta(seconds=len(contents) + place),
        "context": NOBODY,
        "bodies": None,
        "turns": turns_of(Endpoint.CHAT, {"messages": messages}, response),
    }
    return record(**members | different)


def conversation(first="a", **different):
    return [
        said(first, answer="1", **different),
        said(first, "1", "b", answer="2", **different),
        said(first, "1", "b", "2", "c", answer="3", **different),
    ]


async def sessions_of(store, calls):
    found = [await store.get(call.id, call.organization_id) for call in calls]
    return [(call.context.session_id, call.context.session_inferred) for call in found]


async def test_calls_that_continue_each_other_are_of_one_session(store):
    calls = conversation()

    await store.put(calls)

    assert await sessions_of(store, calls) == [(f"inferred-{calls[0].id}", True)] * 3


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
async def test_in_whichever_order_they_are_stored(store, order):
    calls = conversation()

    for place in order:
        await store.put([calls[place]])

    sessions = await sessions_of(store, calls)
    assert len(set(sessions)) == 1
    assert sessions[0][1]


async def test_a_call_that_nothing_continues_has_no_session(store):
    calls = [
        said("a", answer="1"),
        said("b", answer="1"),
        said("x", "y", "a", answer="1"),
        said("x", "y", "b", answer="1"),
    ]

    await store.put(calls)

    assert await sessions_of(store, calls) == [(None, False)] * 4


async def test_others_are_never_taken_together(store):
    calls = [
        *conversation(organization_id="default"),
        *conversation(organization_id="b"),
        *conversation(key_id="another"),
        *conversation(key_id=None, key_fingerprint=None, client="192.0.2.1"),
        *conversation(key_id=None, key_fingerprint=None, client="192.0.2.2"),
    ]

    await store.put(calls)

    sessions = await sessions_of(store, calls)
    assert len(set(sessions)) == 5
    assert sessions[3] == (f"inferred-{calls[3].id}", True)
    assert [sessions[start] == sessions[start + 1] == sessions[start + 2] for start in range(0, 15, 3)] == [True] * 5


async def test_a_session_that_was_named_is_left_alone_while_the_calls_around_it_find_each_other(store):
    first, second, third = conversation()
    named = replace(second, context=Context(session_id="s"))

    await store.put([first, named, third])

    inferred = (f"inferred-{first.id}", True)
    assert await sessions_of(store, [first, named, third]) == [inferred, ("s", False), inferred]


async def test_a_call_that_is_stored_again_keeps_its_session(store):
    calls = conversation()
    await store.put(calls)
    before = await sessions_of(store, calls)

    await store.put(calls[:1])
    await store.put(calls[1:])

    assert await sessions_of(store, calls) == before


async def test_a_call_that_still_runs_is_of_the_session_already(store):
    first, second, _ = conversation()
    running = said("a", "1", "b", answer=None, id=second.id, status=Status.STARTED, ending=None)

    await store.put([first])
    await store.put([running])
    shown = await sessions_of(store, [first, running])
    await store.put([second])

    assert shown == [(f"inferred-{first.id}", True)] * 2
    assert await sessions_of(store, [first, second]) == shown


async def test_a_branch_is_of_the_same_session(store):
    calls = [*conversation(), said("a", "1", "other", answer="4", place=1)]

    await store.put(calls)

    assert len(set(await sessions_of(store, calls))) == 1


async def test_a_question_that_was_asked_before_begins_a_session_of_its_own(store):
    earlier = conversation()
    await store.put(earlier)
    later = conversation(place=100)

    await store.put(later)

    assert await sessions_of(store, earlier) == [(f"inferred-{earlier[0].id}", True)] * 3
    assert await sessions_of(store, later[:2]) == [(f"inferred-{later[0].id}", True)] * 2


async def test_what_is_deleted_is_continued_by_nobody(store):
    first, second, _ = conversation()
    await store.put([first])
    await store.delete([first.id])

    await store.put([second])

    assert await sessions_of(store, [second]) == [(None, False)]


async def test_the_size_of_what_is_there_is_right_when_calls_have_joined(store):
    calls = conversation()
    for call in calls:
        await store.put([call])

    await store.delete([call.id for call in calls])

    def sizes(connection):
        return connection.execute(select(organization_sizes.c.records, organization_sizes.c.record_bytes)).all()

    assert await store.reading(sizes, otherwise=None) == [(0, 0)]


async def test_two_stores_at_the_same_place_see_each_other(open_store, store):
    calls = conversation()
    other = open_store()

    await store.put(calls[:1])
    await other.put(calls[1:2])
    await store.put(calls[2:])

    await other.close()
    assert len(set(await sessions_of(store, calls))) == 1


async def test_an_inferred_session_is_found_and_listed_like_any_other(store):
    calls = conversation()
    await store.put(calls)
    session = f"inferred-{calls[0].id}"

    page = await store.find(CompletionQuery(session_id=session))
    groups = await SqlOverviews(store).groups(GroupQuery(organization_id="default", by=Grouping.SESSION))

    assert [call.id for call in page.completions] == [call.id for call in reversed(calls)]
    assert [group.id for group in groups.groups] == [session]


def test_the_places_of_a_batch_are_asked_for_once():
    rows = [to_rows(call, Packer()) for call in [*conversation(), record()]]

    hashes = hashes_of(rows)

    assert len(hashes) == len(set(hashes)) == 3


def test_a_batch_without_conversations_stays_as_it_is():
    rows = [to_rows(record(), Packer())]

    threads = infer(rows, {})

    assert (threads.batch, threads.places, threads.joined) == (rows, {}, {})


def test_the_session_stands_in_its_columns():
    rows = to_rows(record(context=NOBODY, turns=Turns()), Packer()).within("s")

    columns = dict(zip(completions.c.keys()[1:], rows.completion, strict=True))
    assert (columns["session_id"], columns["session_inferred"]) == ("s", True)
    assert columns["started_at_us"] == rows.started_at_us
