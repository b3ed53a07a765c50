"""The pages around calls, on one store."""

from functools import partial

from llm_proxy.decode.generation import completion_of
from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_traces import SqlTraces
from llm_proxy.ui import compare, export, finding, groups, sessions, trace
from llm_proxy.ui.room import Table
from llm_proxy.wiring.export import WRITERS, records


def rooms_of_calls(store: SqlStore) -> tuple[Table, ...]:
    """What the pages of ``store`` have besides the list of calls, one call and one session."""
    findings = SqlFindings(store)
    return (
        finding.table(findings, SqlKeepsakes(store)),
        compare.table(store),
        groups.table(SqlOverviews(store), findings),
        sessions.table(store, findings),
        export.table(export.Exports(partial(records, store), WRITERS), findings),
        trace.table(store, SqlTraces(store, completion_of)),
    )
