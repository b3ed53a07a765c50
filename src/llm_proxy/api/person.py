"""Whom an OpenID provider knows, as somebody with an organisation and scopes, by the rules of the operator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_proxy.errors import Refused
from llm_proxy.model.account import MAX_NAME_CHARACTERS, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRules:
    """What those may do who have a role."""

    scopes: frozenset[Scope]
    operator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRules:
    """Who is let in, and for what."""

    name_claim: str = "email"
    #: Lower-case; empty is all.
    email_domains: frozenset[str] = frozenset()
    organization: str
    organization_claim: str | None = None
    #: Of everybody, unless there is a claim that says roles.
    scopes: frozenset[Scope] = frozenset()
    role_claim: str | None = None
    roles: Mapping[str, RoleRules] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The claims that matter."""
        email = ("email", "email_verified") if self.email_domains else ()
        named = (self.name_claim, self.organization_claim, self.role_claim)
        return (*email, *(name for name in named if name is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is let in."""

    who: str
    #: By its id or name.
    organization: str
    scopes: frozenset[Scope]
    operator: bool


def person_of(claims: Mapping[str, Any], rules: PersonRules) -> Person:
    """Who these claims are about. Raises Refused with 403 if that is nobody who is let in."""
    _check_domain(claims, rules)
    organization = rules.organization
    if rules.organization_claim is not None:
        said = _texts(claims.get(rules.organization_claim))
        if len(said) != 1:
            raise _refused(f"the provider names no organisation, or several, in {rules.organization_claim}")
        [organization] = said
    scopes, operator = rules.scopes, False
    if rules.role_claim is not None:
        has = [rules.roles[name] for name in _texts(claims.get(rules.role_claim)) if name in rules.roles]
        scopes = frozenset(scope for role in has for scope in role.scopes)
        operator = any(role.operator for role in has)
    if Scope.READ not in scopes:
        raise _refused("you have no role here that may look at records")
    return Person(who=_name(claims, rules), organization=organization, scopes=scopes, operator=operator)


def _check_domain(claims: Mapping[str, Any], rules: PersonRules) -> None:
    if not rules.email_domains:
        return
    email = claims.get("email")
    # Where it is not said, anybody may have written any address into his profile.
    if claims.get("email_verified") is not True or not isinstance(email, str):
        raise _refused("the provider vouches for no e-mail address of yours")
    _, at, domain = email.rpartition("@")
    if not at or domain.lower() not in rules.email_domains:
        raise _refused("your e-mail address is not of a domain that is let in")


def _name(claims: Mapping[str, Any], rules: PersonRules) -> str:
    said = claims.get(rules.name_claim)
    if rules.name_claim == "email" and claims.get("email_verified") is False:
        said = None
    name = said if isinstance(said, str) and said.strip() else str(claims["sub"])
    return "".join(character if character.isprintable() else "?" for character in name)[:MAX_NAME_CHARACTERS]


def _texts(said: object) -> list[str]:
    values = said if isinstance(said, list) else [said]
    return [value for value in values if isinstance(value, str) and value]


def _refused(reason: str) -> Refused:
    return Refused(f"you are not let in: {reason}", status=403, code="not_let_in")
