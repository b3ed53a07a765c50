"""Deletion of what is old or too much, as the settings limit it, by one process at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

from llm_proxy.errors import ConfigError
from llm_proxy.metrics import Ledger
from llm_proxy.retention import Ages, Limits, Retention, Sizes
from llm_proxy.settings.retention import OrganizationRetention
from llm_proxy.settings.retention import Retention as RetentionSettings
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_removal import SqlRemoval
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.uploads import open_blobs


async def keep_within_limits(settings: Settings, store: SqlStore, *, ledger: Ledger) -> None:
    """Do so until cancelled; return at once if nothing is limited."""
    removal = SqlRemoval(store, open_blobs(settings))
    retention = Retention(store, SqlAccounts(store), removal, limits=limits_of(settings.retention), ledger=ledger)
    await retention.run(
        interval_s=settings.retention.interval_s,
        now=lambda: datetime.now(UTC),
        leading=partial(leading, settings),
    )


def limits_of(retention: RetentionSettings) -> Limits:
    """What the settings say."""
    return Limits(
        ages=_ages(retention),
        own_ages={name: _ages(own) for name, own in retention.organizations.items() if own.sets_ages},
        own_sizes={name: _sizes(own) for name, own in retention.organizations.items()},
        sizes=_sizes(retention),
    )


@contextlib.asynccontextmanager
async def leading(settings: Settings, task: str = "retention") -> AsyncIterator[bool]:
    """Whether nobody else does this task on the same store; if so, nobody else does until the end of the block."""
    with contextlib.ExitStack() as held:
        if settings.store.url is None:
            yield _claims(DataDir(settings.data_dir), held, task)
            return
        # Here, as in stores.py: it is an extra.
        from llm_proxy.store.postgres_lease import KEYS  # noqa: PLC0415
        from llm_proxy.store.postgres_lease import leading as leading_in_postgres  # noqa: PLC0415

        lease = leading_in_postgres(settings.store.url.get_secret_value(), KEYS[task])
        yield await asyncio.to_thread(held.enter_context, lease)


def _claims(data: DataDir, held: contextlib.ExitStack, task: str) -> bool:
    try:
        held.enter_context(data.claimed(task))
    except ConfigError:
        return False
    return True


def _ages(section: RetentionSettings | OrganizationRetention) -> Ages:
    return Ages(records=_days(section.max_age_days), bodies=_days(section.bodies_max_age_days))


def _sizes(section: RetentionSettings | OrganizationRetention) -> Sizes:
    return Sizes(everything=section.max_bytes, bodies=section.bodies_max_bytes)


def _days(count: float | None) -> timedelta | None:
    return None if count is None else timedelta(days=count)
