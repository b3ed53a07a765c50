"""What calls took over HTTP, from a real store."""

from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.api.spend import DEFAULT_DAYS
from llm_proxy.model.completion import Context, Usage
from records import NOON, record

SPEND, SINCE = "/api/v1/spend", "2026-01-01"


def used(tokens, **different):
    members = {"usage": Usage(input_tokens=tokens, total_tokens=tokens), "context": Context()}
    return record(**(members | different))


async def test_spend_is_told_by_what_is_asked_for(api, database):
    await database.put([used(1, model="a"), used(2, model="a"), used(4, model=None)])

    answer = (await api.get(SPEND, params={"by": "day,model", "since": SINCE})).json()

    assert (answer["by"], answer["since"], answer["until"]) == (
        ["day", "model"],
        "2026-01-01T00:00:00.000000+00:00",
        None,
    )
    assert [(row["day"], row["model"], row["calls"], row["input_tokens"]) for row in answer["spend"]] == [
        ("2026-11-24", None, 1, 4),
        ("2026-11-24", "a", 2, 3),
    ]
    assert answer["spend"][0]["output_tokens"] is None


async def test_it_goes_back_some_days_and_says_so(api, database):
    now = datetime.now(UTC)
    await database.put([used(1, started_at=now), used(2, started_at=now - timedelta(days=DEFAULT_DAYS + 1))])

    answer = (await api.get(SPEND, params={"by": "provider"})).json()

    assert [row["calls"] for row in answer["spend"]] == [1]
    assert now - datetime.fromisoformat(answer["since"]) <= timedelta(days=DEFAULT_DAYS)


async def test_only_calls_that_meet_the_conditions_count(api, database):
    await database.put([used(1, context=Context(tags=("a", "b"), user_id="u")), used(2)])

    answer = (await api.get(SPEND, params={"by": "tag", "user": "u", "tag": ["a"], "since": SINCE})).json()

    assert [(row["tag"], row["calls"]) for row in answer["spend"]] == [("a", 1), ("b", 1)]


@pytest.mark.parametrize("by", ["session", "model,day,user"])
async def test_following_next_gives_every_row_once(api, database, by):
    await database.put(
        [
            used(1, context=Context(session_id=f"s{number}" if number else None), model=f"m{number}")
            for number in range(5)
        ]
    )
    params, seen = {"by": by, "since": SINCE, "limit": 2}, []

    while params.get("cursor", "") is not None:
        answer = (await api.get(SPEND, params=params)).json()
        seen += [tuple(row[word] for word in by.split(",")) for row in answer["spend"]]
        params["cursor"] = answer["next"]

    assert len(seen) == len(set(seen)) == 5
    assert seen[0] == ((None,) if by == "session" else ("m0", "2026-11-24", None))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "by"),
        ("by=week", "by"),
        ("by=day,day", "by"),
        ("by=day,", "by"),
        ("by=day&by=model", "by"),
        ("by=day&cursor=W10", "cursor"),
        ("by=day&cursor=WyJ4Il0", "cursor"),
        ("by=day&search=x", "search"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_named(api, query, param):
    answer = await api.get(f"{SPEND}?{query}")

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_nothing_is_an_empty_list(api):
    answer = (await api.get(SPEND, params={"by": "day", "since": NOON.isoformat()})).json()

    assert (answer["spend"], answer["next"]) == ([], None)
