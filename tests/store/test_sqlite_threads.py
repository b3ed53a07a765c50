"""What only SQLite has: a limit to the values of one statement."""

from store.test_threads import conversation, sessions_of


async def test_a_batch_may_have_more_places_than_one_statement_takes(open_sqlite):
    store = open_sqlite()
    conversations = [conversation(first=str(number)) for number in range(400)]
    await store.put([calls[0] for calls in conversations])

    await store.put([call for calls in conversations for call in calls[1:]])

    looked_at = conversations[::100]
    sessions = [await sessions_of(store, calls) for calls in looked_at]
    await store.close()
    assert sessions == [[(f"inferred-{calls[0].id}", True)] * 3 for calls in looked_at]
