"""What calls took, by what they have in common, on SQLite and PostgreSQL."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from llm_proxy.model.completion import Context, Cost, Status, Usage
from llm_proxy.model.query import CompletionQuery, SpendBy, SpendQuery, Tally
from llm_proxy.store.sql_overviews import SqlOverviews
from records import NO_COST, NOON, bare, record

CALLS = CompletionQuery()


@pytest.fixture
def spend(store):
    return SqlOverviews(store).spend


def used(tokens, **different):
    members = {"usage": Usage(input_tokens=tokens, total_tokens=tokens), "context": Context()}
    return record(**(members | different))


async def told(spend, *by, calls=CALLS, **place):
    """What each row is of, with its calls and its input tokens."""
    rows = await spend(SpendQuery(calls=calls, by=by, **place))
    return [(*row.of, row.tally.calls, row.tally.input_tokens) for row in rows]


async def test_spend_is_told_by_day_of_utc(spend, store):
    midnight = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
    await store.put([used(1, started_at=midnight), used(2), used(4, started_at=midnight - timedelta(microseconds=1))])

    assert await told(spend, SpendBy.DAY) == [(date(2026, 11, 23), 1, 4), (date(2026, 11, 24), 2, 3)]


@pytest.mark.parametrize(
    ("by", "members"),
    [
        (SpendBy.MODEL, ({"model": "m"}, {"model": None})),
        (SpendBy.PROVIDER, ({"provider": "m"}, {"provider": None})),
        (SpendBy.USER, ({"context": Context(user_id="m")}, {})),
        (SpendBy.SESSION, ({"context": Context(session_id="m")}, {})),
        (SpendBy.TAG, ({"context": Context(tags=("m",))}, {})),
    ],
)
async def test_what_is_unknown_is_a_row_of_its_own(spend, store, by, members):
    known, unknown = members
    await store.put([used(1, **known), used(2, **known), used(4, **unknown), used(8, organization_id="other")])

    assert await told(spend, by) == [(None, 1, 4), ("m", 2, 3)]


async def test_a_call_counts_for_each_of_its_tags(spend, store):
    await store.put([used(1, context=Context(tags=("a", "b"))), used(2, context=Context(tags=("b",)))])

    assert await told(spend, SpendBy.TAG) == [("a", 1, 1), ("b", 2, 3)]


async def test_it_is_told_by_several_at_once_and_page_by_page(spend, store):
    await store.put(
        [
            used(number, model=f"m{number % 2}", started_at=NOON + timedelta(days=number % 3), provider=None)
            for number in range(6)
        ]
    )
    by, seen, place = (SpendBy.DAY, SpendBy.PROVIDER, SpendBy.MODEL), [], None

    while rows := await spend(SpendQuery(calls=CALLS, by=by, after=place, limit=4)):
        seen += [row.of for row in rows]
        place = seen[-1]

    assert seen == [(date(2026, 11, 24 + day), None, f"m{model}") for day in range(3) for model in range(2)]


async def test_only_what_matches_counts(spend, store):
    await store.put(
        [
            used(1, model="m", context=Context(tags=("a", "b"))),
            used(2, response_model="m"),
            used(4, started_at=NOON + timedelta(hours=1)),
        ]
    )

    assert await told(spend, SpendBy.PROVIDER, calls=CompletionQuery(model="m")) == [("openai", 2, 3)]
    assert await told(spend, SpendBy.TAG, calls=CompletionQuery(tags=("a",))) == [("a", 1, 1), ("b", 1, 1)]
    since = CompletionQuery(since=NOON + timedelta(minutes=1))
    assert await told(spend, SpendBy.MODEL, calls=since) == [("gpt-4o", 1, 4)]


async def test_a_row_tells_how_many_failed_and_leaves_unknown_what_is(spend, store):
    counted = Usage(input_tokens=5, output_tokens=2, cached_input_tokens=1, reasoning_output_tokens=0)
    await store.put([bare(status=Status.FAILED, model="a"), bare(model="b", usage=counted), bare(model="b")])

    rows = await spend(SpendQuery(calls=CALLS, by=(SpendBy.MODEL,)))

    assert [row.tally for row in rows] == [
        Tally(calls=1, failed=1, calls_without_cost=1),
        Tally(
            calls=2,
            failed=0,
            input_tokens=5,
            output_tokens=2,
            cached_input_tokens=1,
            reasoning_output_tokens=0,
            calls_without_cost=2,
        ),
    ]


async def test_costs_are_summed_up_exactly_and_unknown_ones_are_counted(spend, store):
    tiny, large = (Cost(usd=Decimal(usd)) for usd in ("0.000000000000000000000000000001", "123456789012"))
    await store.put([record(cost=tiny), record(cost=large), record(cost=NO_COST), record(), bare(model="x")])

    of_none, known = sorted(
        (row.tally for row in await spend(SpendQuery(calls=CALLS, by=(SpendBy.MODEL,)))), key=lambda tally: tally.calls
    )

    assert known.cost_usd == Decimal("123456789012.000000000000000000000000000001")
    assert (known.calls, known.calls_without_cost) == (4, 2)
    assert (of_none.cost_usd, of_none.calls_without_cost) == (None, 1)
