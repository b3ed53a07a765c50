"""What those who grade work with: the records, their feedback, and who has which call before him."""

from dataclasses import dataclass
from urllib.parse import quote

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import JsonObject
from llm_proxy.model.feedback import FeedbackTask
from llm_proxy.store.base import FeedbackStore, Grading, Store
from llm_proxy.ui.present import visible


@dataclass(frozen=True, slots=True)
class Desk:
    """The three stores of it."""

    store: Store
    feedback: FeedbackStore
    grading: Grading

    async def task(self, principal: Principal, task_id: str) -> FeedbackTask:
        """The task. Raises Refused if there is none of this id."""
        task = await self.feedback.task(principal.organization_id, task_id)
        if task is None or not principal.has_project(task.project_id):
            raise Refused(f"There is no feedback task {visible(task_id)}.", status=404, code="not_found")
        return task


def task_href(task_id: str, *more: str) -> str:
    """The page of a task, or one below it."""
    return "/".join(("/grading", *(quote(part, safe="", errors="replace") for part in (task_id, *more))))


def in_words(values: JsonObject) -> str:
    """Values in one line, as a list has them."""
    shown = (f"{name}: {_word(value)}" for name, value in values.items())
    return visible(" · ".join(shown))


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    return str(value)
