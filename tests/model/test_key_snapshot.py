"""What proxies are told of keys."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm_proxy.model.key_snapshot import Snapshot, Spent, day_and_month, decode_snapshot, encode_snapshot
from proxy_keys import proxy_key


def test_a_snapshot_comes_back_from_its_bytes_and_holds_no_key():
    secret, key = proxy_key(models=("gpt-4o",), usd_per_day=Decimal("1.5"), spent=Spent(Decimal("0.1"), Decimal(2)))

    raw = encode_snapshot(Snapshot(1.5, [key]))

    assert decode_snapshot(raw) == Snapshot(1.5, [key])
    assert secret.encode() not in raw
    assert secret.removeprefix("llmp_").encode() not in raw


def test_a_version_is_of_what_is_in_it_and_not_of_the_time():
    (_, one), (_, other) = proxy_key(), proxy_key()

    assert Snapshot(1.0, [one]).version == Snapshot(2.0, [one]).version
    assert Snapshot(1.0, [one]).version != Snapshot(1.0, [other]).version


@pytest.mark.parametrize("raw", [b"", b"damaged", b"\x92\xcb"])
def test_what_is_no_snapshot_is_an_error(raw):
    with pytest.raises(ValueError, match="snapshot"):
        decode_snapshot(raw)


def test_a_day_and_a_month_begin_at_midnight():
    day, month = day_and_month(datetime(2026, 11, 24, 13, 5, tzinfo=UTC))

    assert (day, month) == (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
