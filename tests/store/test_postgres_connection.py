"""Connections to PostgreSQL."""

import socket

import psycopg
import pytest
from sqlalchemy import exc as sqlalchemy_exc

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.postgres_connection import connect, errors_of, schema_step, shown


def test_a_reader_cannot_write_and_sees_one_moment(postgres_url):
    with connect(postgres_url, statement_timeout_s=10, read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM body_pieces").fetchone() == (0,)
        with connect(postgres_url, statement_timeout_s=10) as writer:
            writer.execute("INSERT INTO body_pieces VALUES ('a', 'b')")
        assert reader.execute("SELECT count(*) FROM body_pieces").fetchone() == (0,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute("DELETE FROM body_pieces")


def test_a_statement_that_takes_too_long_is_given_up(postgres_url):
    with (
        pytest.raises(StoreUnavailable, match="statement timeout"),
        errors_of("there"),
        connect(postgres_url, statement_timeout_s=0.05) as connection,
    ):
        connection.execute("SELECT pg_sleep(60)")


def test_a_server_that_is_not_there_is_unavailable_and_says_where():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://somebody:secret@127.0.0.1:{port}/store"

    expected = f"PostgreSQL at 127.0.0.1:{port}/store: .*refused"
    with pytest.raises(StoreUnavailable, match=expected) as error, errors_of(shown(url)):
        connect(url, statement_timeout_s=1)

    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:secret@db.example:6432/store?sslmode=require", "PostgreSQL at db.example:6432/store"),
        ("postgresql:///store", "PostgreSQL at local socket:5432/store"),
    ],
)
def test_a_place_is_shown_without_who_goes_there(url, place):
    assert shown(url) == place


@pytest.mark.parametrize(
    "url", ["postgresql://h/store?color=red", "postgresql://u:secret@[h/store", "postgresql://u:secret%@h/store"]
)
def test_what_leads_nowhere_is_said_without_the_password(url):
    with pytest.raises(ValueError, match="is no URL of PostgreSQL") as error:
        shown(url)

    assert "secret" not in str(error.value)


def test_a_pool_that_is_exhausted_is_unavailable():
    with pytest.raises(StoreUnavailable, match="all connections are in use"), errors_of("there"):
        raise sqlalchemy_exc.TimeoutError


def test_the_step_of_a_schema_is_the_one_that_alembic_noted(postgres, postgres_url):
    with connect(postgres_url, statement_timeout_s=10) as connection:
        assert schema_step(connection) == HEAD
    with connect(postgres.url(), statement_timeout_s=10) as empty:
        assert schema_step(empty) is None
