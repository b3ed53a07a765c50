"""How far a command has come, on a terminal only, and on standard error, since standard output is for records."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

#: Called with how much is done by now.
Advance: TypeAlias = Callable[[float], None]


@contextlib.contextmanager
def progress(label: str, *, total: float | None, wanted: bool = True) -> Iterator[Advance]:
    """A bar that ends at ``total``, or, where that is not known, a count; it is gone when the block ends."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _: None
        return
    # Here, since it is as much to import as all the rest, and who redirects standard error need not wait for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    counted = [MofNCompleteColumn()] if total is None else [TaskProgressColumn(), TimeRemainingColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *counted, TimeElapsedColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)
