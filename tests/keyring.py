"""Keys for tests."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llm_proxy.model.account import Organization, new_key, new_secret, parse_scopes, secret_hash
from llm_proxy.model.exchange import new_id
from llm_proxy.model.key_terms import Terms
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_store import SqlStore


@dataclass(frozen=True)
class Key:
    id: str
    secret: str
    organization_id: str

    @property
    def bearer(self) -> dict[str, str]:
        """The headers of whoever has it."""
        return {"authorization": f"Bearer {self.secret}"}


async def added_key(
    store: SqlStore, organization: str, scopes: str, *, project_id: str | None = None, **terms: Any
) -> Key:
    """A new key of the organisation of this name, which is made if it is new."""
    accounts, now = SqlAccounts(store), datetime.now(UTC)
    owner = await accounts.add_organization(Organization(id=new_id(), name=organization, created_at=now))
    secret = new_secret()
    key = new_key(secret, owner.id, scopes=parse_scopes(scopes), now=now, project_id=project_id, terms=Terms(**terms))
    await accounts.add_key(key, secret_hash(secret))
    return Key(key.id, secret, owner.id)
