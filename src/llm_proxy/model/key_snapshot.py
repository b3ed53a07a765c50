"""What a proxy process has to know of keys, as one file: hashes, terms, and what was spent by them.

Made from the store by whoever is near it, and read by proxies, which never ask the store. No key can be made of it.
``version`` differs whenever something other than the time does.
"""

import hashlib
from datetime import datetime
from decimal import Decimal

import msgspec

from llm_proxy.model.account import KnownKey
from llm_proxy.model.key_terms import NO_TERMS, Terms


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What the calls of a key have cost, in USD, of those of which it is known."""

    #: Of the day and the month, in UTC, in which the snapshot was made.
    day: Decimal = Decimal(0)
    month: Decimal = Decimal(0)


NOTHING_SPENT = Spent()


class SnapshotKey(msgspec.Struct, frozen=True, array_like=True):
    """One key that is valid."""

    hash: bytes
    id: str
    organization_id: str
    project_id: str | None
    relays: bool
    #: Seconds since 1970; None if it always will be valid.
    expires_at: float | None = None
    terms: Terms = NO_TERMS
    spent: Spent = NOTHING_SPENT


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """All keys that are valid at one time."""

    #: Seconds since 1970.
    made_at: float
    keys: list[SnapshotKey] = []

    @property
    def version(self) -> bytes:
        """Of what is in it, whenever it was made."""
        return hashlib.sha256(_encode(self.keys)).digest()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def snapshot_key(known: KnownKey, *, relays: bool, spent: Spent = NOTHING_SPENT) -> SnapshotKey:
    """What is to be known of ``known``."""
    key = known.key
    return SnapshotKey(
        hash=known.hash,
        id=key.id,
        organization_id=key.organization_id,
        project_id=key.project_id,
        relays=relays,
        expires_at=None if key.expires_at is None else key.expires_at.timestamp(),
        terms=key.terms,
        spent=spent,
    )


def day_and_month(now: datetime) -> tuple[datetime, datetime]:
    """When the day and the month of ``now`` began, in its own time zone."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day, day.replace(day=1)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """``snapshot`` as the bytes of its file."""
    return _encode(snapshot)


def decode_snapshot(raw: bytes) -> Snapshot:
    """The snapshot that ``encode_snapshot`` made ``raw`` of. Raises ValueError."""
    try:
        return _decode(raw)
    except msgspec.MsgspecError as exc:
        raise ValueError(f"no snapshot of keys: {exc}") from exc
