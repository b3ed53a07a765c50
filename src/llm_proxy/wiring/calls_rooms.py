"""The pages around calls, on one store."""

from functools import partial

from llm_proxy.decode.generation import completion_of
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui import again, compare, export, finding, groups, sessions, trace, views
from llm_proxy.ui.room import Table
from llm_proxy.ui.sending import Sender
from llm_proxy.wiring.export import WRITERS, records


def rooms_of_calls(store: SqlStore, *, calls_url: str | None = None) -> tuple[Table, ...]:
    """What the pages of ``store`` have besides the list of calls and one call.

    ``calls_url`` is where calls are sent again; None if no proxy is beside the pages.
    """
    findings = SqlFindings(store)
    return (
        finding.table(findings),
        views.table(SqlKeepsakes(store), SqlAccounts(store)),
        compare.table(store),
        groups.table(SqlOverviews(store)),
        sessions.table(store, findings),
        export.table(export.Exports(partial(records, store), WRITERS), findings),
        again.table(store, None if calls_url is None else Sender(calls_url)),
        trace.table(store, SqlTraces(store, completion_of)),
    )
