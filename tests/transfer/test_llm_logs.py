import sqlite3

import pytest

from llm_proxy.errors import NotImportable
from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.llm_logs import count_llm, read_llm
from transfer.samples import llm_database


@pytest.mark.parametrize(("version", "calls"), [("0.12", 2), ("0.27.1", 6), ("0.36", 6)])
def test_every_version_is_read_and_counted(tmp_path, version, calls):
    path = llm_database(version, tmp_path / "logs.db")

    rows = list(read_llm(path))

    assert [row for row in rows if isinstance(row, BadRow)] == []
    assert len(rows) == count_llm(path) == calls
    assert {row.model for row in rows} == {"parrot"}


def test_reading_leaves_the_file_as_it_is(tmp_path):
    path = llm_database("0.36", tmp_path / "logs.db")
    before = path.read_bytes()

    list(read_llm(path))

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["logs.db"]


def test_a_file_that_went_through_all_versions_has_the_calls_of_each(tmp_path):
    path = llm_database("0.36", tmp_path / "logs.db")
    with sqlite3.connect(path) as database:
        database.execute(
            "INSERT INTO responses (id, model, prompt, response, datetime_utc, conversation_id)"
            " VALUES ('01h', 'gpt-4', 'Hi', 'Ho', '2025-01-01T00:00:00', NULL)"
        )
        # A call that is in both designs is one call.
        database.execute(
            "INSERT INTO responses (id, model, prompt, response, datetime_utc)"
            " SELECT id, model, 'x', 'x', datetime_utc FROM turns LIMIT 1"
        )
        database.execute(
            "CREATE TABLE logs (id INTEGER PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT,"
            " options_json TEXT, response TEXT, response_json TEXT, reply_to_id INTEGER, chat_id INTEGER,"
            " duration_ms INTEGER, datetime_utc TEXT)"
        )
        database.execute(
            "INSERT INTO logs VALUES"
            " (7, 'gpt-3.5-turbo', 'Old?', 'Be old.', NULL, NULL, 'Yes.', NULL, NULL, 5, 900, '2023-06-01T00:00:00')"
        )
    database.close()

    rows = list(read_llm(path))

    assert [row.preview for row in rows[:2]] == ["Old? → Yes.", "Hi → Ho"]
    assert len({row.id for row in rows}) == len(rows) == 8
    assert rows[0].context.session_id == "5"
    assert rows[0].context.metadata["imported"]["id"] == "logs/7"
    assert rows[0].duration_s == 0.9


def test_a_database_of_somebody_else_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("CREATE TABLE cats (name TEXT)")
    database.close()

    with pytest.raises(NotImportable, match=r"other\.db: no database of llm"):
        list(read_llm(tmp_path / "other.db"))


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "logs.db").write_text("hello " * 1000)

    with pytest.raises(NotImportable, match="file is not a database"):
        list(read_llm(tmp_path / "logs.db"))
    with pytest.raises(NotImportable, match="unable to open"):
        count_llm(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_a_damaged_database_ends_in_one_line(tmp_path):
    path = llm_database("0.36", tmp_path / "logs.db")
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(NotImportable, match=r"logs\.db: cannot be read as a database of llm"):
        list(read_llm(path))
