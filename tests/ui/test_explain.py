"""Why a call failed."""

import pytest

from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Ending
from llm_proxy.ui.explain import explain
from records import bare, record


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending is not Ending.COMPLETE])
def test_every_ending_that_is_no_success_is_explained(ending):
    explained = explain(bare(status=Status.FAILED, ending=ending, failure_kind=ending, failure_reason="why"))

    assert explained.who in ("The client", "This proxy", "The provider")
    assert explained.sentence.endswith((".", ")"))
    assert explained.reason == "why"


@pytest.mark.parametrize(
    ("status", "who"),
    [(400, "The client"), (401, "The client"), (418, "The client"), (429, "The provider"), (500, "The provider")],
)
def test_an_error_of_the_provider_is_somebodys_affair_by_its_status(status, who):
    explained = explain(
        bare(
            status=Status.FAILED, ending=Ending.UPSTREAM_ERROR, http_status=status, failure_kind="k", failure_reason="r"
        )
    )

    assert explained.who == who
    assert f"HTTP {status}" in explained.sentence
    assert explained.reason == "k: r"


def test_an_error_within_a_good_answer_is_the_providers():
    explained = explain(bare(status=Status.FAILED, ending=Ending.COMPLETE, http_status=200, failure_kind="overloaded"))

    assert (explained.who, explained.reason) == ("The provider", "overloaded")


def test_what_has_not_failed_is_not_explained():
    assert explain(record()) is None
    assert explain(bare()) is None


def test_a_reason_steers_nothing():
    assert "\x1b" not in explain(bare(status=Status.FAILED, failure_reason="\x1b[2J")).reason
