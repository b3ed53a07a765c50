"""The settings about people whom an OpenID provider knows. Part of the table in table.py."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from llm_proxy.settings.section import Section
from llm_proxy.settings.values import BaseUrl, Key, Names, VariableName

#: What a person can be let in for; calls are made by programs, with keys.
_SCOPES = ("read", "write", "admin")
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def _checked_issuer(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _THIS_MACHINE:
        raise ValueError("must begin with https://, as who can change what it says can log in as anybody")
    return url


def _checked_scopes(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in _SCOPES]:
        raise ValueError(f"{unknown[0]!r} is no scope of a person; there are {', '.join(_SCOPES)}")
    return names


Scopes = Annotated[Names, AfterValidator(_checked_scopes)]


class Role(Section):
    """What those may do of whom the provider says this."""

    scopes: Scopes = Field(default=("read",), description="What they may do: `read`, `write`, `admin`")
    operator: bool = Field(
        default=False, description="Whether they run the proxy: all organisations, dead letters, storage"
    )


class Oidc(Section):
    """Logging in to the pages by way of an OpenID provider. Needs ``pip install 'llm-proxy[oidc]'``."""

    issuer: Annotated[BaseUrl, AfterValidator(_checked_issuer)] | None = Field(
        default=None, description="Address of the provider, as its discovery document has it; with `oidc.client_id`"
    )
    client_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="What the provider knows the pages as"
    )
    client_secret_env: VariableName | None = Field(
        default=None, description="Variable that holds the secret of the client; without it, it is a public one"
    )
    public_url: BaseUrl | None = Field(
        default=None,
        description="Address of the pages in browsers, to which the provider leads back at `/login/oidc/back`; without "
        "it, as the request has it",
    )
    request_scopes: Names = Field(
        default=("openid", "profile", "email"), description="Scopes that the provider is asked for"
    )
    name_claim: Literal["email", "preferred_username", "sub"] = Field(
        default="email", description="Claim by which a person is named and told apart; where it is missing, `sub`"
    )
    email_domains: Names = Field(
        default=(), description="Domains of verified e-mail addresses that are let in; empty is everybody whom it knows"
    )
    organization: Annotated[str, Field(min_length=1)] = Field(
        default="default", description="Organisation that they are of, by its id or name"
    )
    organization_claim: str | None = Field(
        default=None, description="Claim that says it, in place of `oidc.organization`; there must be one of this name"
    )
    scopes: Scopes = Field(
        default=("read", "write"), description="What everybody may do who is let in: `read`, `write`, `admin`"
    )
    role_claim: str | None = Field(
        default=None,
        description="Claim with the names of `oidc.roles`, such as `groups`, which then say what somebody may do in "
        "place of `oidc.scopes`; who has none is not let in",
    )
    roles: dict[str, Role] = Field(default_factory=dict)
    #: The value of that variable.
    client_secret: Key | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.issuer is None) != (self.client_id is None):
            raise ValueError("issuer and client_id go together")
        if (self.role_claim is None) != (not self.roles):
            raise ValueError("role_claim and roles go together")
        if "openid" not in self.request_scopes:
            raise ValueError("request_scopes must hold openid")
        return self
