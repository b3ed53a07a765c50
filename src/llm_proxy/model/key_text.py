"""A key as it is listed: the same members over HTTP and on the command line."""

from datetime import datetime
from typing import Annotated, TypedDict

from msgspec import Meta

from llm_proxy.model.account import ApiKey, Scope
from llm_proxy.model.key_terms import TermsFields, terms_json


class KeyFields(TypedDict):
    """A key, of which the first and last characters are shown."""

    id: str
    organization_id: str
    project_id: str | None
    label: str | None
    scopes: list[Annotated[str, Meta(extra_json_schema={"enum": [*Scope]})]]
    shown: str
    created_at: str
    last_used_at: str | None
    expires_at: str | None
    terms: TermsFields


def key_json(key: ApiKey) -> KeyFields:
    """``key`` as JSON."""
    return {
        "id": key.id,
        "organization_id": key.organization_id,
        "project_id": key.project_id,
        "label": key.label,
        "scopes": scopes_of(key),
        "shown": key.shown,
        "created_at": time_text(key.created_at),
        "last_used_at": None if key.last_used_at is None else time_text(key.last_used_at),
        "expires_at": None if key.expires_at is None else time_text(key.expires_at),
        "terms": terms_json(key.terms),
    }


def scopes_of(key: ApiKey) -> list[str]:
    """What a key is for, in the order of the table."""
    return [str(scope) for scope in Scope if scope in key.scopes]


def time_text(time: datetime) -> str:
    """A time in ISO 8601."""
    return time.isoformat(timespec="microseconds")
