"""Logging in by way of an OpenID provider, as the settings have it."""

import hashlib

from llm_proxy.api.person import PersonRules, RoleRules
from llm_proxy.api.seal import Seal
from llm_proxy.errors import ConfigError
from llm_proxy.model.account import Scope
from llm_proxy.settings.oidc import Oidc
from llm_proxy.settings.table import Settings
from llm_proxy.store.base import Accounts
from llm_proxy.ui.sign_on import SignOn


def sign_on_of(settings: Settings, accounts: Accounts, secret: bytes) -> SignOn | None:
    """The way to the provider; None if there is none. Raises ConfigError."""
    oidc = settings.oidc
    if oidc.issuer is None or oidc.client_id is None:
        return None
    try:
        # Here, since it is an extra, and loads an HTTP client and cryptography.
        from llm_proxy.api.oidc import Provider, Registration  # noqa: PLC0415
    except ImportError as exc:
        raise ConfigError(
            "oidc.issuer: this needs a library that is not installed; `pip install 'llm-proxy[oidc]'`"
        ) from exc
    registration = Registration(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret=None if oidc.client_secret is None else oidc.client_secret.get_secret_value(),
        scopes=oidc.request_scopes,
        ca_file=settings.tls.ca_file,
    )
    return SignOn(
        provider=Provider(registration),
        rules=_rules(oidc),
        accounts=accounts,
        seal=Seal(secret, b"oidc"),
        public_url=oidc.public_url,
        mark=mark_of(settings),
    )


def mark_of(settings: Settings) -> str:
    """What changes when who is let in, or for what, may have changed; empty without a provider."""
    return (
        ""
        if settings.oidc.issuer is None
        else hashlib.sha256(settings.oidc.model_dump_json().encode()).hexdigest()[:16]
    )


def _rules(oidc: Oidc) -> PersonRules:
    return PersonRules(
        name_claim=oidc.name_claim,
        email_domains=frozenset(domain.lower().removeprefix("@") for domain in oidc.email_domains),
        organization=oidc.organization,
        organization_claim=oidc.organization_claim,
        scopes=frozenset(map(Scope, oidc.scopes)),
        role_claim=oidc.role_claim,
        roles={
            name: RoleRules(scopes=frozenset(map(Scope, role.scopes)), operator=role.operator)
            for name, role in oidc.roles.items()
        },
    )
