import sqlite3
from contextlib import closing
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import column
from sqlalchemy.dialects import postgresql

from llm_proxy.store.sql_amounts import add_to, sum_of_amounts

AMOUNTS = st.lists(st.none() | st.decimals(0, 10**12, places=20))


@given(AMOUNTS)
def test_a_sum_in_sqlite_is_exact_and_of_nothing_there_is_none(amounts):
    with closing(sqlite3.connect(":memory:")) as connection:
        add_to(connection)
        connection.execute("CREATE TABLE t (usd TEXT)")
        stored = [(None if usd is None else format(usd, "f"),) for usd in amounts]
        connection.executemany("INSERT INTO t VALUES (?)", stored)

        (told,) = connection.execute("SELECT sum_of_amounts(usd) FROM t").fetchone()

    known = [Fraction(usd) for usd in amounts if usd is not None]
    assert (None if told is None else Fraction(told)) == (sum(known) if known else None)


def test_postgresql_sums_up_its_own_decimal_numbers():
    statement = sum_of_amounts(column("usd")).compile(dialect=postgresql.dialect())

    assert str(statement) == "CAST(SUM(CAST(usd AS numeric)) AS text)"
