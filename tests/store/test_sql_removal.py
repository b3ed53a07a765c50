"""Records go with what was told of them, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context
from llm_proxy.model.feedback import Feedback, FeedbackQuery
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import Kind, Upload
from llm_proxy.store.blobs import DirectoryOfBlobs
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.sql_removal import SqlRemoval
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, record
from tellings import generation, said

ORGANIZATIONS = ["o", "default"]


@pytest.fixture
def traces(store):
    return SqlTraces(store, completion_of)


@pytest.fixture
def removal(store):
    return SqlRemoval(store)


async def left(store, traces, owner):
    """Sessions of the calls that are there, and what is there of two traces."""
    calls = (await store.find(CompletionQuery(organization_id=owner))).completions
    told = [entity for trace in ("t1", "t2") for entity in await traces.trace(owner, trace) or ()]
    return sorted(call.context.session_id for call in calls), sorted(entity.key.id for entity in told)


@pytest.fixture(params=ORGANIZATIONS)
async def owner(request, store, traces):
    """An organisation that has two sessions, each of a trace with a generation and an event, and a proxied call."""
    for owner in ("other", request.param):
        for number in (1, 2):
            parts = {"traceId": f"t{number}", "startTimestamp": (NOON + timedelta(hours=number)).isoformat()}
            times = {"startTimestamp": parts["startTimestamp"]}
            await traces.put(
                owner,
                "r",
                [
                    said(Kind.SESSION, f"s{number}", **times),
                    said(Kind.TRACE, f"t{number}", sessionId=f"s{number}", **times),
                    generation(f"g{number}", **parts),
                    said(Kind.EVENT, f"e{number}", **parts),
                ],
            )
            context, when = Context(session_id=f"s{number}", user_id="u"), NOON + timedelta(hours=number)
            call_id = f"{owner} {number}"
            await store.put([record(id=call_id, organization_id=owner, context=context, started_at=when)])
    return request.param


ALL = ["s1", "s1", "s2", "s2"], ["e1", "e2", "g1", "g2", "t1", "t2"]


async def test_a_session_goes_with_its_traces_and_everything_in_them(store, traces, removal, owner):
    receipt = await removal.remove(CompletionQuery(organization_id=owner, session_id="s1"))

    assert (receipt.rows, receipt.entities) == (2, 4)
    assert await left(store, traces, owner) == (["s2", "s2"], ["e2", "g2", "t2"])
    assert await left(store, traces, "other") == ALL


async def test_what_is_older_than_a_time_goes(store, traces, removal, owner):
    until = NOON + timedelta(hours=1.5)

    receipt = await removal.remove(CompletionQuery(organization_id=owner, until=until))

    assert (receipt.rows, receipt.entities) == (2, 4)
    assert await left(store, traces, owner) == (["s2", "s2"], ["e2", "g2", "t2"])
    assert await left(store, traces, "other") == ALL


async def test_other_conditions_take_only_what_is_of_a_call(store, traces, removal, owner):
    receipt = await removal.remove(CompletionQuery(organization_id=owner, model="gpt-4o", session_id="s1"))

    assert (receipt.rows, receipt.entities) == (2, 1)
    assert await left(store, traces, owner) == (["s2", "s2"], ["e1", "e2", "g2", "t1", "t2"])
    user = await removal.remove(CompletionQuery(organization_id=owner, user_id="u"))
    assert (user.rows, user.entities) == (1, 0)
    assert await left(store, traces, "other") == ALL


async def test_one_record_goes_with_what_was_told_of_it_and_does_not_come_back(store, traces, removal, owner):
    calls = (await store.find(CompletionQuery(organization_id=owner, trace_id="t1"))).completions

    receipt = await removal.remove_one(calls[0].id, owner)

    assert (receipt.rows, receipt.entities) == (1, 1)
    await traces.put(owner, "r", [said(Kind.TRACE, "t1", sessionId="s3")])
    assert await left(store, traces, owner) == (["s1", "s2", "s2"], ["e1", "e2", "g2", "t1", "t2"])
    assert await removal.remove_one(calls[0].id, owner) == Receipt()
    assert await left(store, traces, "other") == ALL


def given(owner, name, *calls):
    return Feedback(id=name, organization_id=owner, created_at=NOON, task_id="t", json_values={}, completion_ids=calls)


async def test_feedback_goes_with_the_last_of_its_calls(store, feedback, removal):
    await store.put([record(id=one, organization_id="o", context=Context(session_id=one)) for one in ("a", "b")])
    for one in (given("o", "alone", "a"), given("o", "both", "a", "b"), given("o", "of none")):
        await feedback.add(one)

    await removal.remove(CompletionQuery(organization_id="o", session_id="a"))
    first = {one.id: one.completion_ids for one in (await feedback.find(FeedbackQuery(organization_id="o")))[0]}
    await removal.remove_one("b", "o")
    second = {one.id for one in (await feedback.find(FeedbackQuery(organization_id="o")))[0]}

    assert first == {"both": ("b",), "of none": ()}
    assert second == {"of none"}


async def test_a_file_goes_with_the_last_that_refers_to_it(store, traces, tmp_path):
    blobs = DirectoryOfBlobs(tmp_path / "uploads")
    removal = SqlRemoval(store, blobs)

    async def pieces():
        yield b"bytes"

    blob = await blobs.add(pieces())
    for number in (1, 2):
        times = {"startTimestamp": NOON.isoformat()}
        attachments = [{"id": "f", "type": "file", "key": f"r/trace/t{number}/f"}]
        session = f"s{number}"
        told = said(Kind.TRACE, f"t{number}", sessionId=session, attachments=attachments, **times)
        await traces.put("o", "r", [said(Kind.SESSION, session, **times), told])
        upload = Upload(
            key=f"r/trace/t{number}/f", hash=blob.hash, mime_type="text/plain", size_bytes=5, created_at=NOON
        )
        await traces.add_upload("o", upload)

    await removal.remove(CompletionQuery(organization_id="o", session_id="s1", limit=None))
    first = await traces.upload("o", "r/trace/t1/f"), await blobs.has(blob.hash)
    await removal.remove(CompletionQuery(organization_id="o", session_id="s2", limit=None))

    assert first == (None, True)
    assert await traces.upload("o", "r/trace/t2/f") is None
    assert not await blobs.has(blob.hash)
