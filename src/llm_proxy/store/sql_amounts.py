"""Sums of amounts that stand as decimal text, exactly: by numeric in PostgreSQL, by an aggregate of ours in SQLite."""

import sqlite3
from decimal import Context, Decimal
from typing import Any

from sqlalchemy import ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_NAME = "sum_of_amounts"
#: More digits than a sum of amounts can have (model/cost_json.py); with the usual 28, it would be rounded.
_EXACT = Context(prec=1000)


class _SumOfAmounts(FunctionElement[str]):
    name = _NAME
    type = Text()
    inherit_cache = True


def sum_of_amounts(amounts: ColumnElement[Any]) -> ColumnElement[str]:
    """The sum, as text; NULL if all of them are."""
    return _SumOfAmounts(amounts)


def add_to(connection: sqlite3.Connection) -> None:
    """Let a connection to SQLite know how to make such sums."""
    # The stubs want an aggregate to give a number.
    connection.create_aggregate(_NAME, 1, _Sum)  # type: ignore[arg-type]


class _Sum:
    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, amount: str | None) -> None:
        if amount is not None:
            self._sum = _EXACT.add(self._sum or Decimal(0), Decimal(amount))

    def finalize(self) -> str | None:
        return None if self._sum is None else format(self._sum, "f")


@compiles(_SumOfAmounts)
def _in_sqlite(element: _SumOfAmounts, compiler: SQLCompiler, **how: Any) -> str:
    return f"{_NAME}({compiler.process(element.clauses, **how)})"


@compiles(_SumOfAmounts, "postgresql")
def _in_postgresql(element: _SumOfAmounts, compiler: SQLCompiler, **how: Any) -> str:
    return f"CAST(SUM(CAST({compiler.process(element.clauses, **how)} AS numeric)) AS text)"
