"""Commands about keys."""

import sys
from typing import Any

import click

from llm_proxy.cli.options import AS_JSON, FLAGS, having, settings_of


@click.group()
def keys() -> None:
    """Make, list, revoke and rotate the keys that open the records."""


_FORM = click.option(
    "--format", "form", type=click.Choice(["text", "env", "json"]), default="text", show_default=True,
    help="env prints LLM_PROXY_KEY=... and LLM_PROXY_ORGANIZATION=... for a shell or an environment file.",
)  # fmt: skip

_TERMS = (
    click.option("--tag", "tags", multiple=True, help="proxy: a tag of every call; may be given more than once."),
    click.option("--model", "models", multiple=True, help="proxy: a model that may be asked for, or a pattern."),
    click.option("--upstream", "upstreams", multiple=True, help="proxy: an upstream that may be called, by its name."),
    click.option("--requests-per-minute", type=int, help="proxy: calls that may begin within a minute."),
    click.option("--concurrent", type=int, help="proxy: calls that may run at the same time."),
    click.option("--usd-per-day", help="proxy: what its calls of a day, in UTC, may cost."),
    click.option("--usd-per-month", help="proxy: what its calls of a month, in UTC, may cost."),
)


@keys.command()
@click.option("--organization", required=True, help="Name or id; made if it is new.")
@click.option("--scope", required=True, help="What it is for: proxy, write, read, admin, with commas between them.")
@click.option("--project", help="Name of a project of the organisation; made if it is new.")
@click.option("--label", help="What it is for, in your words.")
@having(_TERMS)
@_FORM
@having(FLAGS)
def create(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Make a key and print it, this once."""
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.create(settings_of(config=config, data_dir=data_dir), **wanted))


@keys.command("list")
@click.option("--organization", help="Only the keys of this one, by its name or id.")
@AS_JSON
@having(FLAGS)
def list_(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """List the keys, oldest first, each by its id, its ends and its last use."""
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.show(settings_of(config=config, data_dir=data_dir), **wanted))


@keys.command()
@click.argument("key_id")
@having(FLAGS)
def revoke(*, config: str | None, data_dir: str | None, key_id: str) -> None:
    """Let a key, by its id, be valid no longer."""
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.revoke(settings_of(config=config, data_dir=data_dir), key_id=key_id))


@keys.command()
@click.argument("key_id")
@click.option("--grace", default="0s", show_default=True, help="How long the old key stays valid: 15m, 2h, 7d.")
@_FORM
@having(FLAGS)
def rotate(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Make a new key in the place of one, by its id, and print it, this once."""
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.rotate(settings_of(config=config, data_dir=data_dir), **wanted))
