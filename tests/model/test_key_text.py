"""How a key is listed."""

from datetime import UTC, datetime

from llm_proxy.model.account import Scope, new_key
from llm_proxy.model.key_terms import Terms
from llm_proxy.model.key_text import key_json, scopes_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_key_is_listed_with_its_ends_its_scopes_in_order_and_its_terms():
    key = new_key(
        "llmp_0123456789abcdef",
        "acme",
        scopes=frozenset({Scope.READ, Scope.PROXY}),
        now=NOON,
        terms=Terms(models=("gpt-4o",)),
    )

    listed = key_json(key)

    assert listed == {
        "id": key.id,
        "organization_id": "acme",
        "project_id": None,
        "label": None,
        "scopes": ["proxy", "read"],
        "shown": "llmp_0123…cdef",
        "created_at": "2026-11-24T12:00:00.000000+00:00",
        "last_used_at": None,
        "expires_at": None,
        "terms": {"models": ["gpt-4o"]},
    }
    assert scopes_of(key) == ["proxy", "read"]
