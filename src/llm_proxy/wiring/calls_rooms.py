"""The pages around calls, on one store."""

from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.ui import compare, finding
from llm_proxy.ui.room import Table


def rooms_of_calls(store: SqlStore) -> tuple[Table, ...]:
    """What the pages of ``store`` have besides the list of calls, one call and one session."""
    return (
        finding.table(SqlFindings(store), SqlKeepsakes(store)),
        compare.table(store),
    )
