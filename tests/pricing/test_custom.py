from decimal import Decimal

import pytest
from msgspec.structs import replace

from llm_proxy.model.completion import Cost, CostSource, Usage
from llm_proxy.pricing.charge import cost_of, is_charged
from llm_proxy.pricing.custom import HEADER, custom_cost
from records import BODIES, record

USAGE = Usage(input_tokens=1000, output_tokens=10)


def told(*values, usage=USAGE):
    return custom_cost(tuple(("CF-AIG-Custom-Cost", value) for value in values), usage)


def test_tokens_are_charged_at_what_the_caller_says():
    cost = told('{"per_token_in": 0.000001, "per_token_out": 2e-6}')

    assert (cost.usd, cost.source, cost.entry) == (Decimal("0.00102"), CostSource.CALLER, HEADER)
    assert [(part.name, part.quantity, part.usd) for part in cost.parts] == [
        ("input", 1000, Decimal("0.001")),
        ("output", 10, Decimal("0.00002")),
    ]


def test_a_total_needs_no_tokens_and_counts_before_them():
    total = Cost(usd=Decimal("0.25"), source=CostSource.CALLER, entry=HEADER)

    assert told('{"total_cost": 0.25}', usage=None) == total
    assert told('{"total_cost": 0.25, "per_token_in": 1, "per_token_out": 1}') == total


def test_of_several_the_last_one_counts():
    assert told('{"total_cost": 1}', '{"total_cost": 0}').usd == 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "7",
        "[]",
        "{",
        '{"per_token_in": 1}',
        '{"total_cost": -1}',
        '{"total_cost": true}',
        '{"total_cost": null}',
        '{"total_cost": "dear"}',
        '{"total_cost": NaN}',
        '{"total_cost": 1e999999}',
        '{"total_cost": 1' + "0" * 2000 + "}",
    ],
)
def test_what_is_no_cost_says_nothing(value):
    assert told(value) is None


def test_rates_say_nothing_where_the_tokens_are_not_known():
    value = '{"per_token_in": 1, "per_token_out": 1}'

    assert told(value, usage=None) is None
    assert told(value, usage=Usage(input_tokens=1)) is None


def test_what_a_caller_says_counts_before_everything_else_unless_that_is_off():
    bodies = replace(BODIES, request_headers=((HEADER, '{"total_cost": 3}'),))
    call = record(bodies=bodies)

    assert cost_of(call).usd == 3
    assert cost_of(call, by_caller=False).source is CostSource.LIST
    assert is_charged(record(bodies=bodies, usage=None))
