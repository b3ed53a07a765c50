"""Which tags there are, of an organisation or of one of its projects."""

from sqlalchemy import ColumnElement, Select, exists, func, select

from llm_proxy.store.rows import storable
from llm_proxy.store.sql import completion_tags, completions


def tags(organization_id: str, containing: str, *, project_id: str | None, limit: int) -> Select[str]:
    """Tags that hold this text, whatever its case; the one that is just this text first."""
    name, text = completion_tags.c.tag, storable(containing)
    tagged = select(name).distinct().where(completion_tags.c.organization_id == storable(organization_id))
    if project_id is not None:
        tagged = tagged.where(of_project(project_id))
    found = tagged.where(func.lower(name).contains(text.lower(), autoescape=True)).subquery()
    return select(found.c.tag).order_by(found.c.tag != text, found.c.tag).limit(limit)


def of_project(project_id: str) -> ColumnElement[bool]:
    """Whether the call that has a tag is of this project."""
    call = completions.c.id == completion_tags.c.completion_id
    return exists().where(call, completions.c.project_id == storable(project_id))
