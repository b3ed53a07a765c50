"""Requests made up from the specifications of Log10 and of Maxim, and a look at what the whole application answers."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import yaml

from fuzzing import Fuzzer
from llm_proxy.model.completion import Context
from llm_proxy.model.feedback import Feedback, FeedbackTask
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sqlite import SqliteStore
from records import NOON, record
from whole_app import ADMIN_KEY, described, whole_app

SPECIFICATIONS = Path(__file__).parents[1] / "specs"
DOCUMENTS = {name: yaml.safe_load((SPECIFICATIONS / f"{name}.yml").read_text()) for name in ("log10", "maxim")}
OPERATIONS = [(name, path, method) for name in DOCUMENTS for path, method, _ in described(DOCUMENTS[name])]
HEADERS = {
    "log10": {"x-log10-token": ADMIN_KEY, "x-log10-organization": "default"},
    "maxim": {"x-maxim-api-key": ADMIN_KEY},
}
#: Of each kind, for each operation; the one of Maxim is all of its API.
EXAMPLES = {"log10": 12, "maxim": 40}
KNOWN = {
    "completionId": ["1", "2"],
    "taskId": ["task"],
    "feedbackId": ["feedback"],
    "X-Log10-Organization": ["default"],
    "organization_id": ["default"],
    "id": ["1", "new"],
    "task_id": ["task"],
    "json_values": [{}],
    "completion_ids": [["1"], ["1", "2"], ["none"]],
    "completion_tags_selector": [["t"]],
}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The whole application over a store that has some calls, a task, and feedback."""
    there = tmp_path_factory.mktemp("app")
    store = SqliteStore(there / "store.sqlite3")

    async def fill() -> None:
        await store.migrate()
        await store.put([record(id=str(number), context=Context(tags=("t",))) for number in range(3)])
        task = {"name": "n", "json_schema": {"type": "object"}, "tags": ("t",)}
        given = {"task_id": "task", "json_values": {}, "completion_ids": ("1",)}
        owned = {"organization_id": "default", "created_at": NOON}
        await SqlFeedback(store).add_task(FeedbackTask(id="task", **owned, **task))
        await SqlFeedback(store).add(Feedback(id="feedback", **owned, **given))

    asyncio.run(fill())
    yield whole_app(store, there)
    asyncio.run(store.close())


@pytest.mark.parametrize(("name", "path", "method"), OPERATIONS)
def test_every_answer_fits_the_specification_whatever_is_asked(app, name, path, method):
    statuses = Counter()
    fuzzer = Fuzzer(DOCUMENTS[name], app, HEADERS[name])

    fuzzer.fuzz(
        path, method, examples=EXAMPLES[name], known=KNOWN, seen=lambda answer: statuses.update([answer.status_code])
    )

    assert max(statuses) < 500
    assert statuses[200] + statuses[201] > 0
