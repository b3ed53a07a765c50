"""How far people agree."""

import pytest

from llm_proxy.model.agreement import agreement
from llm_proxy.model.feedback import Feedback
from records import NOON


def said(who, call, **values):
    return Feedback(
        id=f"{who}-{call}-{values}",
        organization_id="a",
        created_at=NOON,
        task_id="t",
        json_values=values,
        completion_ids=(call,),
        given_by=who,
    )


def test_people_who_always_say_the_same_agree_in_all():
    [found] = agreement([said(who, call, good=call == "1") for who in ("ann", "bob") for call in ("1", "2")])

    assert (found.question, found.calls, found.agreed, found.beyond_chance) == ("good", 2, 1.0, 1.0)


def test_what_is_agreed_on_by_chance_is_told_apart():
    answers = {"1": (True, True), "2": (True, False), "3": (False, True), "4": (False, False)}

    [found] = agreement(
        said(who, call, good=value) for call, both in answers.items() for who, value in zip("ab", both, strict=True)
    )

    assert found.agreed == 0.5
    assert found.beyond_chance == pytest.approx(0.0)


def test_where_there_is_but_one_answer_nothing_is_known_beyond_chance():
    [found] = agreement([said("ann", "1", good=True), said("bob", "1", good=True)])

    assert (found.agreed, found.beyond_chance) == (1.0, None)


def test_three_people_agree_as_far_as_their_pairs_do():
    [found] = agreement([said("ann", "1", x=1), said("bob", "1", x=1), said("eve", "1", x=2)])

    assert found.agreed == pytest.approx(1 / 3)


def test_what_one_person_answered_alone_says_nothing_and_the_newest_answer_counts():
    assert agreement([said("ann", "1", x=1), said("ann", "2", x=2)]) == ()

    [found] = agreement([said("ann", "1", x=1), said("bob", "1", x=1), said("ann", "1", x=2)])
    assert found.agreed == 1.0


def test_each_question_has_its_own():
    found = agreement([said("ann", "1", b=[1], a="x"), said("bob", "1", b=[1], a="y")])

    assert [(one.question, one.agreed) for one in found] == [("a", 0.0), ("b", 1.0)]
