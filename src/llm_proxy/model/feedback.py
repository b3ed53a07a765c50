"""What people think of calls: tasks that say what is asked for, and the answers to them, as the Log10 API has both."""

from dataclasses import dataclass
from datetime import datetime

from llm_proxy.model.completion import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackTask:
    """What is asked for, and of which calls."""

    id: str
    organization_id: str
    created_at: datetime
    name: str
    instruction: str = ""
    #: A JSON Schema that is valid, for the values of every feedback.
    json_schema: JsonObject
    #: It asks for feedback to the calls that have all of these tags; to none if there are none.
    tags: tuple[str, ...] = ()
    #: From how many different people it asks for an answer to each call.
    answers_wanted: int = 1
    #: It asks only for calls of this project; None is of the whole organisation.
    project_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """An answer to a task, about some calls."""

    id: str
    organization_id: str
    created_at: datetime
    task_id: str
    #: Valid against the schema of the task.
    json_values: JsonObject
    comment: str | None = None
    completions_summary: str | None = None
    #: The tags by which the calls were chosen; empty if they were chosen by their ids.
    tags: tuple[str, ...] = ()
    #: Ids of the calls that it is about, each once.
    completion_ids: tuple[str, ...] = ()
    #: Who gave it, where that is known: the label of a key, or how the key is shown.
    given_by: str | None = None
    #: The session or the trace that it is about, if it is about one of these.
    session_id: str | None = None
    trace_id: str | None = None
    #: That of its task.
    project_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingProgress:
    """How far the calls that a task asks for are graded."""

    #: All of them that have ended.
    calls: int
    #: Those that have as many answers as are wanted.
    graded: int
    #: Those that somebody has before him just now.
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackQuery:
    """Every condition that is set must hold; newest first."""

    organization_id: str
    #: Only answers to tasks of this project.
    project_id: str | None = None
    task_id: str | None = None
    completion_id: str | None = None
    given_by: str | None = None
    session_id: str | None = None
    trace_id: str | None = None
    offset: int = 0
    limit: int = 50
