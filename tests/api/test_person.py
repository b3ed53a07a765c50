"""Whom a provider knows, as somebody here."""

import pytest

from llm_proxy.api.person import Person, PersonRules, RoleRules, person_of
from llm_proxy.errors import Refused
from llm_proxy.model.account import Scope

ANN = {
    "sub": "u-1",
    "email": "ann@Acme.test",
    "email_verified": True,
    "groups": ["llm-admins", "others"],
    "org": "acme",
}
READ, WRITE, ADMIN = Scope.READ, Scope.WRITE, Scope.ADMIN
ROLES = {
    "llm-admins": RoleRules(scopes=frozenset({READ, ADMIN})),
    "llm-graders": RoleRules(scopes=frozenset({READ, WRITE})),
    "llm-operators": RoleRules(scopes=frozenset({READ}), operator=True),
    "llm-writers": RoleRules(scopes=frozenset({WRITE})),
}


def rules(**different):
    return PersonRules(**{"organization": "default", "scopes": frozenset({READ, WRITE}), **different})


def test_without_roles_everybody_may_do_the_same():
    assert person_of(ANN, rules()) == Person(
        who="ann@Acme.test", organization="default", scopes=frozenset({READ, WRITE}), operator=False
    )


@pytest.mark.parametrize(
    ("groups", "scopes", "operator"),
    [
        (["llm-admins", "others"], {READ, ADMIN}, False),
        ("llm-graders", {READ, WRITE}, False),
        (["llm-operators", "llm-graders"], {READ, WRITE}, True),
    ],
)
def test_roles_add_up_and_stand_in_place_of_what_everybody_may_do(groups, scopes, operator):
    person = person_of({**ANN, "groups": groups}, rules(role_claim="groups", roles=ROLES))

    assert (person.scopes, person.operator) == (scopes, operator)


@pytest.mark.parametrize("groups", [None, [], ["others"], 7, {"llm-admins": True}, ["llm-writers"], [["llm-admins"]]])
def test_who_has_no_role_that_may_look_is_not_let_in(groups):
    with pytest.raises(Refused, match="no role") as refusal:
        person_of({**ANN, "groups": groups}, rules(role_claim="groups", roles=ROLES))

    assert refusal.value.status == 403


def test_a_claim_says_the_organisation():
    assert person_of(ANN, rules(organization_claim="org")).organization == "acme"
    for wrong in (None, ["acme", "other"], "", 1):
        with pytest.raises(Refused, match="names no organisation"):
            person_of({**ANN, "org": wrong}, rules(organization_claim="org"))


def test_a_domain_is_that_of_a_verified_address_in_any_case():
    assert person_of(ANN, rules(email_domains=frozenset({"acme.test"}))).who == "ann@Acme.test"


@pytest.mark.parametrize(
    ("different", "reason"),
    [
        ({"email_verified": False}, "vouches for no"),
        ({"email_verified": None}, "vouches for no"),
        ({"email_verified": "true"}, "vouches for no"),
        ({"email": None}, "vouches for no"),
        ({"email": "ann@evil.test"}, "not of a domain"),
        ({"email": "ann@acme.test@evil.test"}, "not of a domain"),
        ({"email": "ann@sub.acme.test"}, "not of a domain"),
        ({"email": "acme.test"}, "not of a domain"),
    ],
)
def test_other_addresses_are_not_let_in(different, reason):
    with pytest.raises(Refused, match=reason):
        person_of({**ANN, **different}, rules(email_domains=frozenset({"acme.test"})))


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({"email": None}, "u-1"),
        ({"email": "  "}, "u-1"),
        ({"email_verified": False}, "u-1"),
        ({"email": "a\u202eb@acme.test"}, "a?b@acme.test"),
        ({"email": "a" * 300}, "a" * 200),
    ],
)
def test_somebody_is_named_by_what_nobody_else_could_claim(claims, who):
    assert person_of({**ANN, **claims}, rules()).who == who
