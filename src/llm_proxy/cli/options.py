"""Flags that several commands have, and the settings that they lead to."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from llm_proxy.config import Settings

Options = tuple[Callable[[Any], Any], ...]

FLAGS: Options = (
    click.option("--config", type=click.Path(), help="Configuration file (TOML)."),
    click.option("--data-dir", type=click.Path(), help="Directory of the journal and the store."),
)
PORT_FLAGS: Options = (
    click.option("--host", help="Address to listen on."),
    click.option("--port", type=int, help="Port to listen on; 0 is any free one."),
)
PROXY_FLAGS: Options = (
    *PORT_FLAGS,
    click.option("--upstream", help="Base URL of the default upstream, including its /v1."),
    click.option("--workers", type=int, help="Proxy processes on the port."),
)
CONDITIONS: Options = (
    click.option("--tag", "tags", multiple=True, help="Only calls that have this tag; may be repeated."),
    click.option("--session", help="Only calls of this session id."),
    click.option("--user", help="Only calls of this user id."),
    click.option("--model", help="Only calls of this model, as asked for or as answered."),
    click.option("--status", type=click.Choice(["started", "finished", "failed"]), help="Only calls in this state."),
    click.option("--since", help="Only calls since then: 15m, 2h, 7d, or an ISO 8601 time."),
    click.option("--search", help="Only calls whose request or response contains this text."),
    click.option("--where", help="Only calls that this filter of the pages lets through: 'cost:>0.01 -model:gpt-4o'."),
)
WHOSE: Options = (
    click.option(
        "--organization", help="Whose calls, by id or name of an organisation; those of the default one without it."
    ),
    click.option("--all-organizations", "everywhere", is_flag=True, help="The calls of all organisations."),
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def having(options: Options) -> Callable[[Any], Any]:
    """Give a command these options."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def settings_of(**flags: Any) -> "Settings":
    """The settings that flags, environment and file give. Raises ConfigError."""
    # Here, as the imports in all commands: each loads what it needs, so that the others start fast.
    from llm_proxy.config import load_settings  # noqa: PLC0415

    return load_settings(flags=flags)
