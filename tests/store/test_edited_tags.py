"""Tags that were changed by hand, on both stores, whatever comes later."""

import pytest
from msgspec.structs import replace

from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Context, Status
from llm_proxy.model.query import CompletionQuery
from records import record

STRANGE = "\x1a\x00é"


def call(status, *tags, **more):
    return record(id="1", status=status, context=Context(tags=tags), **more)


async def edit(store, *tags):
    def change(found):
        return replace(found, context=replace(found.context, tags=tags), tags_edited=True)

    return await store.amend("1", DEFAULT_ORGANIZATION, change)


async def tagged(store, tag):
    return [one.id for one in (await store.find(CompletionQuery(tags=(tag,)))).completions]


@pytest.mark.parametrize("tags", [("mine", STRANGE), ()])
async def test_what_the_call_brings_later_does_not_replace_them(store, tags):
    await store.put([call(Status.STARTED, "its")])
    await edit(store, *tags)

    for _ in range(2):
        await store.put([call(Status.FINISHED, "its", preview="ended")])

    stored = await store.get("1")
    assert (stored.status, stored.preview, stored.tags_edited) == (Status.FINISHED, "ended", True)
    assert stored.context.tags == tags
    assert await tagged(store, "its") == []
    assert [await tagged(store, tag) for tag in tags] == [["1"]] * len(tags)


async def test_another_change_by_hand_does(store):
    await store.put([call(Status.FINISHED, "its")])

    await edit(store, "first")
    await edit(store, "second")

    assert (await store.get("1")).context.tags == ("second",)
    assert await tagged(store, "first") == []


async def test_tags_that_nobody_has_changed_are_those_that_came_last(store):
    await store.put([call(Status.STARTED, "first")])
    await store.put([call(Status.FINISHED, "second")])

    stored = await store.get("1")
    assert (stored.context.tags, stored.tags_edited) == (("second",), False)
