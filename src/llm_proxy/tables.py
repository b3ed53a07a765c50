"""Records on a terminal: a list of calls, and one call.

Two lines a call: what one looks for, in columns that stand still from one print to the next, and below it what one
copies, the id first. Pure functions that return text. What was recorded has gone through ``present.visible``: no escape
sequence of a prompt reaches the terminal. To import this is to import rich; who writes JSON need not.
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from io import StringIO
from typing import Literal, TypeAlias

from rich.console import Console
from rich.text import Text

from llm_proxy.model.completion import Bodies, Completion, Status
from llm_proxy.ui import present

_Column: TypeAlias = tuple[str, int, Literal["left", "right"]]

#: Title, width and alignment of each column but the last one, which takes what is left.
_COLUMNS: tuple[_Column, ...] = (
    ("TIME", 15, "left"),
    ("STATUS", 8, "left"),
    ("MODEL", 18, "left"),
    ("IN", 7, "right"),
    ("OUT", 6, "right"),
    ("TTFT", 7, "right"),
    ("TOTAL", 11, "right"),
)
#: Left out, one after the other, where the last column would have fewer cells than it needs.
_DISPENSABLE = ("TTFT", "IN", "OUT", "MODEL")
_MIN_CALL_WIDTH = 20
#: Of the name of a fact or a header; a name that is longer pushes its own value alone.
_LABEL_WIDTH, _MAX_LABEL_WIDTH = 13, 30
_GAP = "  "
_STYLES = {Status.FINISHED: "green", Status.FAILED: "red", Status.STARTED: "yellow"}


def render_table(
    completions: Sequence[Completion],
    *,
    width: int,
    colour: bool = False,
    header: bool = True,
    zone: tzinfo | None = None,
) -> str:
    """``completions`` as a table of ``width`` cells; without ``header`` it goes on with an earlier one.

    Times are those of ``zone``, or else of this machine.
    """
    lines = [_columns({title: title for title, _, _ in _COLUMNS}, "CALL", width=width)] if header else []
    for completion in completions:
        lines += _row(present.row(completion, zone=zone), width=width)
    return _written(lines, colour=colour)


def render_record(completion: Completion, *, colour: bool = False, zone: tzinfo | None = None) -> str:
    """All that is known of ``completion``: its facts, its headers, its bodies in full."""
    lines: list[Text | str] = []
    for section in present.sections(completion, zone=zone):
        lines += [Text(section.title.upper(), "bold"), *_facts(section.facts), Text()]
    bodies = completion.bodies or Bodies()
    for title, body in (
        ("REQUEST", present.body(bodies.request, bodies.request_body, bodies.request_headers)),
        ("RESPONSE", present.body(bodies.response, bodies.response_body, bodies.response_headers)),
    ):
        lines += [Text(title, "bold"), *_facts(body.headers), body.text or present.DASH, Text()]
    return _written(lines[:-1], colour=colour)


def _row(row: present.Row, *, width: int) -> Iterable[Text]:
    cells = {
        "TIME": row.time,
        "STATUS": row.status.value,
        "MODEL": row.model,
        "IN": row.input_tokens,
        "OUT": row.output_tokens,
        "TTFT": row.ttft,
        "TOTAL": row.duration,
    }
    yield _columns(cells, row.preview, width=width, status=row.status)
    session = f"session {row.session_id}" if row.session_id else ""
    belongings = filter(None, (present.visible(row.id), ", ".join(row.tags), session))
    yield _cut(Text(_GAP + _GAP.join(belongings), "dim"), width)
    if row.failure:
        yield _cut(Text(_GAP + row.failure, "red"), width)


def _columns(cells: dict[str, str], call: str, *, width: int, status: Status | None = None) -> Text:
    line = Text(style="" if status else "bold")
    for title, cell_width, align in _fitting(width):
        cell = Text(cells[title], _STYLES[status] if status and title == "STATUS" else "")
        cell.truncate(cell_width, overflow="ellipsis")
        cell.align(align, cell_width)
        line.append_text(cell).append(_GAP)
    return line.append_text(_cut(Text(call), max(_MIN_CALL_WIDTH, width - line.cell_len)))


def _fitting(width: int) -> list[_Column]:
    shown = list(_COLUMNS)
    for dispensable in _DISPENSABLE:
        if sum(cells + len(_GAP) for _, cells, _ in shown) + _MIN_CALL_WIDTH <= width:
            break
        shown = [column for column in shown if column[0] != dispensable]
    return shown


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line


def _facts(facts: Iterable[tuple[str, str]]) -> Iterable[Text]:
    facts = list(facts)
    width = min(max([_LABEL_WIDTH, *(len(label) for label, _ in facts)]), _MAX_LABEL_WIDTH)
    return [Text.assemble((f"{_GAP}{label:<{width}} ", "dim"), value) for label, value in facts]


def _written(lines: Iterable[Text | str], *, colour: bool) -> str:
    terminal = StringIO()
    console = Console(
        file=terminal, force_terminal=colour, color_system="standard" if colour else None, legacy_windows=False
    )
    for line in lines:
        if isinstance(line, str):  # a body: long, and in no style
            terminal.write(f"{line}\n")
        else:
            console.print(line, soft_wrap=True)
    return terminal.getvalue()
