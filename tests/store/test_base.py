"""What every store promises; see ``Store``. Runs against each of them."""

import asyncio
import dataclasses
import os
from array import array
from contextlib import aclosing
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from llm_proxy.errors import StoreRejected
from llm_proxy.model.completion import Bodies, Context, Status, Usage
from llm_proxy.model.exchange import Chunks, new_id
from llm_proxy.model.query import CompletionQuery, Cursor, Page
from llm_proxy.store.postgres import PostgresStore
from records import BODIES, COST, NO_COST, NOON, bare, completions, conversation, record, tagged

PATIENCE_S = 30.0
#: So short that a test need not wait.
POLL_S = 0.001


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


async def _ids(store, **conditions) -> list[str]:
    page = await store.find(CompletionQuery(**conditions))
    return [completion.id for completion in page.completions]


@pytest.mark.parametrize(
    "completion",
    [
        record(),
        bare(),
        record(bodies=None),
        record(bodies=Bodies()),
        record(usage=Usage()),
        record(usage=Usage(cache_write_input_tokens=1, audio_input_tokens=2, audio_output_tokens=0)),
        record(cost=COST),
        record(cost=NO_COST),
        record(context=Context(tags=("b", "a", "b"), metadata={"": None})),
        record(preview="", failure_reason="", model=""),
        record(preview="nul \x00, substitute \x1a0000, lone \ud800 and \udfff", path="/\x00"),
        record(bodies=replace(BODIES, request={"n": 2**70, "\udc00": ["\x00", 1e308, True]})),
        record(bodies=replace(BODIES, request_body=b"", response_body=b"", request=None, response=None)),
        record(bodies=replace(BODIES, request=False, response=0)),
    ],
)
async def test_a_record_comes_back_as_it_was(store, completion):
    await store.put([completion])

    assert await store.get(completion.id) == completion


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(completions)
async def test_every_possible_record_comes_back_as_it_was(store, completion):
    completion = replace(completion, id=f"{new_id()} {completion.id}")

    await store.put([completion])

    assert await store.get(completion.id, completion.organization_id) == completion


async def test_bodies_of_fifty_megabytes_come_back_as_they_were(store):
    noise = os.urandom(2**20) * 50
    times_us, sizes = array("Q", range(0, 100_000, 2)), array("Q", [1000] * 50_000)
    bodies = Bodies(request_body=noise, response_body=noise, chunks=Chunks(times_us=times_us, sizes=sizes))
    completion = record(bodies=bodies)

    await store.put([completion])

    assert await store.get(completion.id) == completion


@pytest.mark.parametrize("chosen_id", ["1", "1\x1a/b", ""])
async def test_the_same_id_in_two_organisations_is_two_records(store, chosen_id):
    ours, theirs = (record(id=chosen_id, organization_id=name, preview=name) for name in ("default", "b"))

    await store.put([ours, theirs])
    await store.put([replace(theirs, preview="again")])

    assert await store.get(chosen_id) == ours
    assert await store.get(chosen_id, "b") == replace(theirs, preview="again")
    assert await store.get(chosen_id, "c") is None
    assert (await store.delete([chosen_id], "b")).rows == 1
    assert await store.get(chosen_id) == ours


async def test_the_pages_of_an_organisation_go_on_where_they_ended(store):
    await store.put([record(id=str(number), organization_id="b") for number in range(5)])
    query, seen = CompletionQuery(organization_id="b", limit=2), []

    while (page := await store.find(query)).completions:
        seen += [completion.id for completion in page.completions]
        query = dataclasses.replace(query, after=page.next or Cursor(started_at=NOON, id=seen[-1]))

    assert seen == ["4", "3", "2", "1", "0"]


async def test_what_was_never_written_is_none(store):
    assert await store.get(new_id()) is None


async def test_what_was_written_is_there_after_the_store_was_closed_and_opened(store, open_store):
    completion = record()
    await store.put([completion])
    await store.close()

    reopened = open_store()
    await reopened.migrate()

    assert await reopened.get(completion.id) == completion
    await reopened.close()


async def test_writing_twice_is_writing_once(store):
    completion = record()

    await store.put([completion])
    await store.put([completion, completion])

    assert await store.find(CompletionQuery(with_bodies=True)) == Page(completions=(completion,))


async def test_a_record_that_has_ended_takes_the_place_of_the_one_that_had_started(store):
    started = bare(context=Context(tags=("early",)))
    ended = record(id=started.id, context=Context(tags=("late",)))

    await store.put([started])
    await store.put([ended])

    assert await store.get(started.id) == ended
    assert await _ids(store, tags=("early",)) == []
    assert await _ids(store, tags=("late",)) == [started.id]


@pytest.mark.parametrize("together", [True, False])
async def test_a_record_that_has_ended_is_never_replaced_by_one_that_has_only_started(store, together):
    ended = record(bodies=None)
    late = bare(id=ended.id, context=Context(tags=("late",)), bodies=BODIES)

    for batch in [[ended, late]] if together else [[ended], [late]]:
        await store.put(batch)

    assert await store.get(ended.id) == ended
    assert await _ids(store, tags=("late",)) == []


async def test_a_later_end_replaces_an_earlier_one_with_everything_that_belonged_to_it(store):
    first = record(context=Context(tags=("first",)))
    second = record(id=first.id, status=Status.FAILED, context=Context(tags=("second",)), bodies=None)

    await store.put([first])
    await store.put([second])

    assert await store.get(first.id) == second
    assert await _ids(store, tags=("first",)) == []
    assert await _ids(store, search="France") == []


async def test_one_record_that_can_never_be_stored_is_named_and_nothing_of_its_batch_is_written(store):
    good, bad = record(), record(request_bytes=2**63)

    with pytest.raises(StoreRejected, match=bad.id):
        await store.put([good, bad])

    assert await _ids(store) == []
    await store.put([good])
    assert await _ids(store) == [good.id]


async def test_a_record_that_is_nested_too_deep_is_rejected_by_name(store):
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    bad = record(bodies=Bodies(request=deep))

    with pytest.raises(StoreRejected, match=f"{bad.id}: its JSON is nested too deep"):
        await store.put([bad])


async def test_an_empty_batch_is_nothing(store):
    await store.put([])

    assert await _ids(store) == []


async def test_the_newest_come_first_and_of_the_same_time_the_greater_id(store):
    older, newer = record(id="d", started_at=NOON - _minutes(1)), record(id="a", started_at=NOON + _minutes(1))
    await store.put([older, record(id="b"), record(id="c"), newer])

    assert await _ids(store) == ["a", "c", "b", "d"]


async def test_lists_come_without_bodies_unless_they_are_asked_for(store):
    completion = record()
    await store.put([completion])

    assert (await store.find(CompletionQuery())).completions == (replace(completion, bodies=None),)
    assert (await store.find(CompletionQuery(with_bodies=True))).completions == (completion,)


@pytest.mark.parametrize(
    "conditions",
    [{}, {"tags": ("even",)}, {"tags": ("even", "all")}, {"model": "m"}, {"session_id": "s"}, {"search": "france"}],
)
@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("oldest_first", [False, True])
async def test_pages_one_after_the_other_are_the_whole_list(store, conditions, limit, oldest_first):
    batch = [
        record(
            id=f"{number:02}",
            started_at=NOON + _minutes(number // 3),
            model="m" if number % 3 else "other",
            response_model="other" if number % 3 else "m",
            context=Context(tags=("all", "odd" if number % 2 else "even"), session_id="s"),
        )
        for number in range(12)
    ]
    await store.put(batch)
    whole = await _ids(store, **conditions, limit=None)

    pages: list[Page] = []
    while not pages or pages[-1].next is not None:
        after = pages[-1].next if pages else None
        query = CompletionQuery(**conditions, limit=limit, after=after, oldest_first=oldest_first)
        pages.append(await store.find(query))

    assert [completion.id for page in pages for completion in page.completions] == (
        whole[::-1] if oldest_first else whole
    )
    assert len(whole) == (6 if "tags" in conditions else 12)
    assert {len(page.completions) for page in pages[:-1]} <= {limit}
    assert pages[-1].completions


async def test_a_page_of_nothing_is_empty_and_has_no_next_one(store):
    await store.put([record()])

    assert await store.find(CompletionQuery(limit=0)) == Page(completions=())


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"tags": ("a",)}, ["1", "2"]),
        ({"tags": ("a", "b")}, ["1"]),
        ({"tags": ("b", "a", "a")}, ["1"]),
        ({"tags": ("A",)}, []),
        ({"tags": ("a", "none")}, []),
        ({"tags": ("a",), "session_id": "s"}, ["2"]),
        ({"tags": ("a",), "user_id": "u"}, ["1"]),
        ({"tags": ("a",), "model": "m1"}, ["1", "2"]),
        ({"tags": ("a",), "status": Status.FAILED}, ["2"]),
        ({"session_id": "s"}, ["2", "3"]),
        ({"session_id": "s", "user_id": "u"}, ["3"]),
        ({"session_id": "s", "model": "m1"}, ["2"]),
        ({"user_id": "u"}, ["1", "3"]),
        ({"trace_id": "t"}, ["2"]),
        ({"trace_id": "t", "tags": ("b",)}, []),
        ({"model": "m1"}, ["1", "2"]),
        ({"model": "m2"}, ["1", "2", "3"]),
        ({"model": "m2", "status": Status.FAILED}, ["2", "3"]),
        ({"status": Status.STARTED}, []),
        ({"status": Status.FINISHED}, ["1"]),
        ({"organization_id": "other"}, ["4"]),
        ({"organization_id": "other", "tags": ("a",)}, ["4"]),
        ({"organization_id": "third"}, []),
    ],
)
async def test_every_condition_must_hold(store, conditions, expected):
    await store.put(
        [
            record(id="1", model="m1", response_model="m2", context=Context(tags=("a", "b"), user_id="u")),
            record(
                id="2",
                model="m2",
                response_model="m1",
                status=Status.FAILED,
                context=Context(tags=("a",), session_id="s", trace_id="t"),
            ),
            record(
                id="3",
                model=None,
                response_model="m2",
                status=Status.FAILED,
                context=Context(tags=("b",), session_id="s", user_id="u"),
            ),
            record(id="4", organization_id="other", context=Context(tags=("a", "b"))),
        ]
    )

    assert sorted(await _ids(store, **conditions)) == expected


async def test_since_is_inclusive_and_until_is_not(store):
    await store.put([tagged("t", id=str(minute), started_at=NOON + _minutes(minute)) for minute in range(5)])

    for conditions in ({}, {"tags": ("t",)}, {"model": "gpt-4o"}):
        assert await _ids(store, since=NOON + _minutes(1), until=NOON + _minutes(3), **conditions) == ["2", "1"]


async def test_what_no_database_takes_can_be_asked_for_too(store):
    strange = "\x00 \ud800 \x1a0000"
    context = Context(tags=(strange,), session_id=strange, user_id=strange)
    await store.put([record(id=strange, model=strange, context=context), record()])

    asked = {"tags": (strange,), "session_id": strange, "user_id": strange, "model": strange}

    assert [await _ids(store, **{name: value}) for name, value in asked.items()] == [[strange]] * 4


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("Paris", True),
        ("pARIS", True),
        ("capital of france", True),
        ("STRASSE", True),
        ("Straße", True),
        ('she said "oui"', True),
        ("two\nlines", True),
        ("日本", True),
        ("c:\\temp", True),
        ("100%", True),
        ("100_", False),
        ("Lyon", False),
    ],
)
async def test_search_finds_text_of_the_request_and_the_response_whatever_its_case(store, search, found):
    said = 'She said "Oui"\nfrom C:\\temp: Straße, 日本, 100%, two\nlines, the capital of France'
    bodies = replace(BODIES, request={"content": said})
    await store.put([record(id="1", bodies=bodies), record(id="2", bodies=Bodies(request="none")), bare(id="3")])

    assert await _ids(store, search=search) == (["1"] if found else [])


async def test_search_goes_with_the_other_conditions_and_stops_at_the_limit(store):
    await store.put([tagged("even" if number % 2 == 0 else "odd", id=str(number)) for number in range(6)])

    page = await store.find(CompletionQuery(search="paris", tags=("even",), limit=2))

    assert [completion.id for completion in page.completions] == ["4", "2"]
    assert page.next is not None
    assert await _ids(store, search="paris", tags=("even",), after=page.next) == ["0"]


async def test_a_conversation_comes_back_call_by_call_and_as_a_list(store):
    calls = conversation(5)
    for call in calls:
        await store.put([call])

    assert [await store.get(call.id) for call in calls] == calls
    page = await store.find(CompletionQuery(with_bodies=True))
    assert list(page.completions) == calls[::-1]


async def test_search_finds_what_many_calls_share_in_each_of_them(store):
    await store.put(conversation(4))

    assert await _ids(store, search="answer 1 XXX") == ["003", "002"]
    assert await _ids(store, search="answer 2", limit=1) == ["003"]
    assert await _ids(store, search="answer 3") == []


async def test_changes_are_what_is_written_from_now_on_started_and_ended(store):
    await store.put([record(id="before")])
    started = bare(id="1")

    async with aclosing(store.changes(CompletionQuery(), poll_s=POLL_S)) as changes, asyncio.timeout(PATIENCE_S):
        waiting = asyncio.ensure_future(anext(changes))
        await store.put([started])
        first = await waiting
        await store.put([record(id="1"), record(id="2")])
        second, third = await anext(changes), await anext(changes)

    assert first == started
    assert [(change.id, change.status) for change in (second, third)] == [("1", "finished"), ("2", "finished")]


async def test_what_is_written_before_the_first_look_is_not_missed(store):
    changes = store.changes(CompletionQuery(), poll_s=POLL_S)
    await store.find(CompletionQuery())
    await store.put([record(id="1")])

    async with aclosing(changes), asyncio.timeout(PATIENCE_S):
        assert (await anext(changes)).id == "1"


async def test_changes_are_those_that_match(store):
    query = CompletionQuery(tags=("a",), model="m", status=Status.FINISHED, search="paris", with_bodies=True)
    wanted = tagged("a", "b", model="m")
    others = [tagged("b", model="m"), tagged("a"), tagged("a", model="m", status=Status.FAILED), bare()]

    async with aclosing(store.changes(query, poll_s=POLL_S)) as changes, asyncio.timeout(PATIENCE_S):
        waiting = asyncio.ensure_future(anext(changes))
        await store.put([*others, wanted])

        assert await waiting == wanted


async def test_a_record_that_changes_nothing_is_no_change(store):
    await store.put([record(id="1")])

    async with aclosing(store.changes(CompletionQuery(), poll_s=POLL_S)) as changes, asyncio.timeout(PATIENCE_S):
        waiting = asyncio.ensure_future(anext(changes))
        await store.put([bare(id="1")])  # too late
        await store.put([record(id="2")])

        assert (await waiting).id == "2"


async def test_migrating_twice_changes_nothing(store):
    await store.put([record(id="1")])

    await store.migrate()

    assert await _ids(store) == ["1"]


async def test_several_may_migrate_and_write_at_once(open_store):
    stores = [open_store() for _ in range(4)]

    await asyncio.gather(*(store.migrate() for store in stores))
    await asyncio.gather(*(store.put([record(id=str(index))]) for index, store in enumerate(stores)))

    assert await _ids(stores[0]) == ["3", "2", "1", "0"]
    await asyncio.gather(*(store.close() for store in stores))


async def test_closing_twice_is_closing_once(store):
    await store.close()
    await store.close()


async def test_one_who_reads_sees_what_another_one_has_written(store, open_store):
    reader = open_store()
    await store.put([record(id="1")])

    assert await _ids(reader) == ["1"]
    await reader.close()


async def test_a_record_is_amended_and_made_if_there_is_none(store):
    completion = record()
    seen = []

    def change(found):
        seen.append(found)
        return replace(completion, preview="amended") if found else completion

    first = await store.amend(completion.id, "default", change)
    second = await store.amend(completion.id, "default", change)

    assert (first, second) == (completion, replace(completion, preview="amended"))
    assert seen == [None, completion]
    assert await store.get(completion.id) == second


async def test_of_many_that_amend_a_record_at_once_none_is_lost(store, open_store):
    other = open_store()
    await other.migrate()
    completion = bare(organization_id="b")
    words = [str(number) for number in range(20)]

    def adding(word):
        def change(found):
            kept = found.context.tags if found else ()
            return replace(completion, context=Context(tags=(*kept, word)))

        return change

    async with asyncio.TaskGroup() as group:
        for number, word in enumerate(words):
            # SQLite has one process that amends, so that there two stores do not take part.
            chosen = other if number % 2 and isinstance(store, PostgresStore) else store
            group.create_task(chosen.amend(completion.id, "b", adding(word)))
    found = await store.get(completion.id, "b")

    await other.close()
    assert sorted(found.context.tags) == sorted(words)


async def test_what_can_never_be_stored_amends_nothing(store):
    completion = record()
    await store.put([completion])

    with pytest.raises(StoreRejected):
        await store.amend(completion.id, "default", lambda found: replace(found, request_bytes=2**63))

    assert await store.get(completion.id) == completion


async def test_tags_are_found_by_what_they_hold_the_exact_one_first(store):
    await store.put(
        [
            tagged("nightly", "Fly", "a_b%", "\x00\ud800"),
            tagged("fly", "nightly"),
            tagged("theirs", organization_id="b"),
        ]
    )

    assert await store.tags("default") == sorted(["nightly", "Fly", "a_b%", "\x00\ud800", "fly"], key=_as_stored)
    assert await store.tags("default", "fly") == ["fly", "Fly"]
    assert await store.tags("default", "IGHT") == ["nightly"]
    assert await store.tags("default", "_b%") == ["a_b%"]
    assert await store.tags("default", "\x00") == ["\x00\ud800"]
    assert await store.tags("default", limit=1) == ["\x00\ud800"]
    assert await store.tags("b", "fly") == []


def _as_stored(tag: str) -> str:
    return tag.replace("\x00", "\x1a")
