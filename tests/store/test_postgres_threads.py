"""What only PostgreSQL can have: several that write at the same time."""

import asyncio

from store.test_threads import conversation, sessions_of


async def test_of_two_that_write_at_the_same_time_one_sees_the_other(open_postgres):
    stores = [open_postgres() for _ in range(3)]
    conversations = [conversation(first=str(number)) for number in range(20)]

    async with asyncio.TaskGroup() as group:
        for place, store in enumerate(stores):
            for calls in conversations:
                group.create_task(store.put([calls[place]]))

    sessions = [await sessions_of(stores[0], calls) for calls in conversations]
    for store in stores:
        await store.close()
    assert [len(set(of_one)) for of_one in sessions] == [1] * len(conversations)
    assert None not in {session for of_one in sessions for session, _ in of_one}
