"""What was there before is counted as if it had been written after."""

from sqlalchemy import text

from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.deletion import Size
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.migrations.upgrade import upgrade
from records import conversation, record


async def test_an_older_store_is_counted_as_a_new_one(store):
    for whose in ("default", "acme"):
        await store.put([*conversation(5, organization_id=whose), record(id="plain", organization_id=whose)])
    sizes = {whose: await store.size(whose) for whose in ("default", "acme")}

    def take_the_step_again(connection):
        connection.execute(text("DROP TABLE organization_sizes"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
        upgrade(connection, to="0010")
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})

    await store.writing(take_the_step_again)

    assert {whose: await store.size(whose) for whose in sizes} == sizes
    for whose in sizes:
        await store.delete_matching(CompletionQuery(organization_id=whose))
        assert await store.size(whose) == Size()
