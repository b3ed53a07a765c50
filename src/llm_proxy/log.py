"""The program's own log: constant messages, facts as fields, on standard error. Never bodies, prompts or keys."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import Literal


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let imports within not find ``package``, unless it is loaded already."""
    loaded = package in sys.modules
    if not loaded:
        sys.modules[package] = None  # type: ignore[assignment]  # what an import that is to fail finds there
    try:
        yield
    finally:
        if not loaded:
            del sys.modules[package]


# It would load rich for tracebacks that we do not show, and with it 6 MB in each of the processes.
with _hidden("rich"):
    import structlog


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger that says where it speaks from."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name)
    return logger


def configure(*, form: Literal["auto", "json", "console"], level: str, role: str) -> None:
    """Set the log of this process up; ``auto`` is for people on a terminal and JSON anywhere else."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer = _console() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


def _console() -> structlog.dev.ConsoleRenderer:
    # Not the colourful tracebacks: they print local variables, and with them bodies and keys.
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


class _Forward(logging.Handler):
    """What libraries say through the standard library's logging, in the same form as the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        log = get_logger(record.name)
        log.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)


class Incident:
    """Something that fails again and again until it is over: one line when it begins, one when it ends."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger, *, begins: str, over: str) -> None:
        self._log = log
        self._begins = begins
        self._over = over
        self._goes_on = False

    def failed(self, reason: Exception) -> None:
        """It failed, with this error of ours, whose message holds no secrets."""
        if not self._goes_on:
            self._log.warning(self._begins, reason=str(reason))
        self._goes_on = True

    def worked(self) -> None:
        """It worked."""
        if self._goes_on:
            self._log.info(self._over)
        self._goes_on = False
