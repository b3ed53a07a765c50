"""The way to a provider, as the settings have it."""

import sys

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.model.account import Scope
from llm_proxy.settings.oidc import Oidc, Role
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.sign_on import mark_of, sign_on_of

OIDC = Oidc(issuer="https://login.test", client_id="x", email_domains=("@Acme.test",))


def test_without_a_provider_there_is_no_way_to_one():
    assert sign_on_of(Settings(), None, b"secret") is None
    assert mark_of(Settings()) == ""


def test_the_rules_are_those_of_the_settings():
    oidc = OIDC.model_copy(
        update={"role_claim": "groups", "roles": {"a": Role(scopes=("read", "admin"), operator=True)}}
    )

    rules = sign_on_of(Settings(oidc=oidc), None, b"secret").rules

    assert rules.email_domains == {"acme.test"}
    assert (rules.roles["a"].scopes, rules.roles["a"].operator) == ({Scope.READ, Scope.ADMIN}, True)


def test_the_mark_changes_with_who_is_let_in():
    other = OIDC.model_copy(update={"email_domains": ("other.test",)})

    assert mark_of(Settings(oidc=OIDC)) == mark_of(Settings(oidc=OIDC)) != mark_of(Settings(oidc=other))


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "llm_proxy.api.oidc", raising=False)
    monkeypatch.setitem(sys.modules, "joserfc", None)

    with pytest.raises(ConfigError, match=r"pip install 'llm-proxy\[oidc\]'"):
        sign_on_of(Settings(oidc=OIDC), None, b"secret")
