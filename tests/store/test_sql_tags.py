"""Tags of an organisation and of one of its projects, on SQLite and PostgreSQL."""

from llm_proxy.store.sql_overviews import SqlOverviews
from records import tagged


async def test_a_project_has_the_tags_of_its_calls(store):
    await store.put([tagged("a", "b", project_id="p"), tagged("b", "bc", project_id="q"), tagged("bd")])

    assert await store.tags("default", "b") == ["b", "bc", "bd"]
    assert await store.tags("default", "b", project_id="p") == ["b"]
    assert await store.tags("default", project_id="nobody's") == []
    uses = await SqlOverviews(store).tag_uses("default", "b", project_id="q")
    assert [(use.tag, use.calls) for use in uses] == [("b", 1), ("bc", 1)]
