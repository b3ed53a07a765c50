"""How many calls, and what they took, as JSON."""

from datetime import UTC, datetime
from decimal import Decimal

from llm_proxy.api.tallies import GroupFields, TallyFields, group_json, tally_json
from llm_proxy.model.query import Group, Tally

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_what_is_unknown_is_null():
    shown = tally_json(Tally(calls=2, failed=1, calls_without_cost=2))

    assert set(shown) == set(TallyFields.__annotations__)
    assert {name: value for name, value in shown.items() if value is not None} == {
        "calls": 2,
        "failed": 1,
        "calls_without_cost": 2,
    }


def test_a_cost_is_exact_text_without_an_exponent():
    assert (
        tally_json(Tally(calls=1, failed=0, cost_usd=Decimal("1E-7"), calls_without_cost=0))["cost_usd"] == "0.0000001"
    )


def test_a_group_is_what_its_calls_are():
    tally = Tally(calls=1, failed=0, calls_without_cost=1)

    shown = group_json(Group(id="s", name="evening", first_at=NOON, last_at=NOON, tally=tally))

    assert set(shown) == set(GroupFields.__annotations__)
    assert shown == tally_json(tally) | {
        "id": "s",
        "name": "evening",
        "first_at": "2026-11-24T12:00:00.000000+00:00",
        "last_at": "2026-11-24T12:00:00.000000+00:00",
        "matched_at": None,
    }
