"""What calls took together."""

from decimal import Decimal

from llm_proxy.model.completion import Cost
from llm_proxy.ui.totals import totals
from records import bare, record


def test_what_is_not_known_of_all_is_so_much_or_more():
    facts = dict(totals([record(cost=Cost(usd=Decimal("0.02"))), bare()]))

    assert (facts["Tokens in"], facts["Cost"], facts["Calls"]) == ("14 or more", "$0.02 or more", "2")


def test_what_is_known_of_none_is_unknown():
    facts = dict(totals([bare()]))

    assert (facts["Tokens in"], facts["Cost"]) == ("\u2013", "\u2013")
