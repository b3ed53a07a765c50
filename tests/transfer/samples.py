"""Files of other programs, as tests need them."""

import sqlite3
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples"


def llm_database(version, path):
    """The database that ``llm`` of ``version`` wrote, at ``path``."""
    with sqlite3.connect(path) as database:
        database.executescript((SAMPLES / f"llm_{version}.sql").read_text(encoding="utf-8"))
    database.close()
    return path
