"""What is asked of calls becomes a query of the store."""

from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from llm_proxy.api.calls import CALLS, query_of
from llm_proxy.api.operation import read_query
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery

ASKED = "tag=a&tag=b&session=s&user=u&model=m&status=failed&since=2026-01-01&until=2026-02-01"

SOMEBODY = Principal(organization_id="o", scopes=frozenset())


def test_every_word_is_a_condition():
    query = query_of(read_query(QueryParams(ASKED), CALLS), SOMEBODY)

    assert query == CompletionQuery(
        organization_id="o",
        tags=("a", "b"),
        session_id="s",
        user_id="u",
        model="m",
        status=Status.FAILED,
        since=datetime(2026, 1, 1, tzinfo=UTC),
        until=datetime(2026, 2, 1, tzinfo=UTC),
    )


def test_nothing_is_no_condition():
    assert query_of(read_query(QueryParams(""), CALLS), SOMEBODY) == CompletionQuery(organization_id="o")
