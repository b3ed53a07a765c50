"""Proxy keys for tests of the proxy: a snapshot in a file, and what lets calls in by it."""

import time
from pathlib import Path

from llm_proxy.model.account import KnownKey, Scope, new_key, new_secret, secret_hash
from llm_proxy.model.key_snapshot import Snapshot, SnapshotKey, Spent, encode_snapshot, snapshot_key
from llm_proxy.model.key_terms import Terms
from llm_proxy.proxy.admission import Admission, AdmissionRules
from llm_proxy.proxy.key_file import KeyFile
from llm_proxy.proxy.rates import Rates
from records import NOON


def proxy_key(*, relays=True, expires_at=None, organization="acme", spent=None, **terms) -> tuple[str, SnapshotKey]:
    """A key, and what a proxy knows of it."""
    secret = new_secret()
    scopes = frozenset({Scope.PROXY if relays else Scope.READ})
    key = new_key(secret, organization, scopes=scopes, now=NOON, project_id="p-1", terms=Terms(**terms))
    known = KnownKey(key=key, hash=secret_hash(secret), organization_name=organization)
    entry = snapshot_key(known, relays=relays, spent=spent or Spent())
    return secret, SnapshotKey(
        hash=entry.hash,
        id=entry.id,
        organization_id=entry.organization_id,
        project_id=entry.project_id,
        relays=relays,
        expires_at=expires_at,
        terms=entry.terms,
        spent=entry.spent,
    )


def write_keys(path: Path, *keys: SnapshotKey, age_s: float = 0.0) -> None:
    """Put a snapshot of these keys in the place of the file."""
    unfinished = path.with_suffix(".new")
    unfinished.write_bytes(encode_snapshot(Snapshot(time.time() - age_s, list(keys))))
    unfinished.replace(path)


def admission(directory: Path, *keys: SnapshotKey, age_s: float = 0.0, **rules) -> Admission:
    """Lets calls in by these keys."""
    write_keys(directory / "keys.snapshot", *keys, age_s=age_s)
    rates = Rates(directory / "rates", "proxy-0")
    return Admission(KeyFile(directory / "keys.snapshot"), rates, rules=AdmissionRules(**rules))
