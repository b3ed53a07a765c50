"""The settings of an upstream: where calls go, and with which key."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from llm_proxy.settings.section import Section
from llm_proxy.settings.values import BaseUrl, Key, VariableName

#: Name of the upstream that ``upstream`` configures; one of ``upstreams`` cannot have it.
DEFAULT_UPSTREAM = "default"
_TAKEN = """
    about access account admin alerts annotate annotations api assets audit call calls charts compare completions
    costs dashboard datasets diff docs errors evaluations events export facets favicon feedback filters grades
    grading health healthz help histogram home import inbox jobs keys live login logout logs members metrics model
    models organizations pipeline playground prices pricing profile project projects prompts queue readyz replay
    report reports requests review roles saved search session sessions settings shared shares signup spans spend static
    stats storage suggest summary system tags task tasks tokens trace traces upload uploads user users v1 v1alpha
    v1beta v1beta1 v2 views ws
"""
#: First segments of paths that are no upstream's: those of the pages and APIs, of today and perhaps tomorrow, and those
#: that are calls in themselves.
RESERVED_NAMES = frozenset(_TAKEN.split())
_UPSTREAM_NAME = re.compile(r"[a-z0-9-]+")


class Upstream(Section):
    """A provider that calls can be sent to."""

    base_url: BaseUrl | None = Field(
        default=None,
        description="Base URL including its `/v1`, http or https; not needed for a provider that is known and has one",
    )
    provider: str | None = Field(
        default=None,
        description="Provider that the records name; without it, the one that a known host or the name stands for",
    )
    native_url: BaseUrl | None = Field(
        default=None,
        description="Root of the provider's own API, at the same host; without it, `base_url` without its `/v1`",
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = Field(
        default=None, description="Region of AWS, in place of the base URL of Bedrock"
    )
    api_version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,40}$")] | None = Field(
        default=None, description="`api-version` for calls that bring none, as Azure asks for"
    )
    key_env: VariableName | None = Field(
        default=None, description="Variable that holds the key; without it the client's own is sent"
    )
    key_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")] | None = Field(
        default=None,
        description="Header that carries the key, `Authorization` with `Bearer`; without it, as the provider asks for",
    )
    access_key_id_env: VariableName | None = Field(
        default=None, description="Variable that holds an access key id of AWS, with which calls to Bedrock are signed"
    )
    secret_key_env: VariableName | None = Field(
        default=None, description="Variable that holds its secret access key; the two go together"
    )
    session_token_env: VariableName | None = Field(
        default=None, description="Variable that holds its session token, if it is a temporary one"
    )
    #: The values of those variables.
    key: Key | None = None
    access_key_id: Key | None = None
    secret_key: Key | None = None
    session_token: Key | None = None

    @model_validator(mode="after")
    def _with_its_secret(self) -> Self:
        if (self.access_key_id_env is None) != (self.secret_key_env is None):
            raise ValueError("access_key_id_env and secret_key_env go together")
        return self


def checked_upstream_names(upstreams: dict[str, "Upstream"]) -> dict[str, "Upstream"]:
    """``upstreams``, if each can be called by its name. Raises ValueError."""
    for name in upstreams:
        if not _UPSTREAM_NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} must be made of a-z, 0-9 and '-'")
        if name == DEFAULT_UPSTREAM:
            raise ValueError(f"the name {name!r} is taken by the option upstream")
        if name in RESERVED_NAMES:
            raise ValueError(f"the name {name!r} is taken: such paths have a meaning of their own")
    return upstreams
