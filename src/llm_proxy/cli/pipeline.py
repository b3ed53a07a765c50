"""Commands about the way of the calls into the store: where they are, and what did not get there."""

import sys
from typing import Any

import click

from llm_proxy.cli.options import AS_JSON, FLAGS, WHOSE, having, settings_of

_CALLS = click.argument("call_ids", metavar="[CALL_ID]...", nargs=-1)
_ALL = click.option("--all", "everything", is_flag=True, help="All that there are.")


@click.command()
@having(FLAGS)
@having(WHOSE)
@AS_JSON
@click.option("--check", is_flag=True, help="Exit with 1 if something is missing, or Redis is away.")
def status(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Show where the calls are, and whether the account balances; of an organisation, how much of it is stored."""
    from llm_proxy.wiring.status import show_status  # noqa: PLC0415

    sys.exit(show_status(settings_of(config=config, data_dir=data_dir), **wanted))


@click.command()
@having(FLAGS)
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if there are steps to walk.")
def migrate(*, config: str | None, data_dir: str | None, check: bool) -> None:
    """Bring the schema of the store to its newest step."""
    from llm_proxy.wiring.migrate import migrate  # noqa: PLC0415

    sys.exit(migrate(settings_of(config=config, data_dir=data_dir), check=check))


@click.group()
def deadletters() -> None:
    """Look at the calls that could not be stored, try them again, or delete them."""


@deadletters.command("list")
@having(FLAGS)
@AS_JSON
def list_(*, config: str | None, data_dir: str | None, as_json: bool) -> None:
    """List them, one a line: call, when, how often delivered, why."""
    from llm_proxy.wiring.deadletters import list_dead_letters  # noqa: PLC0415

    sys.exit(list_dead_letters(settings_of(config=config, data_dir=data_dir), as_json=as_json))


@deadletters.command()
@click.argument("call_id")
@having(FLAGS)
def show(*, config: str | None, data_dir: str | None, call_id: str) -> None:
    """Show one with all that is known of its call, as JSON."""
    from llm_proxy.wiring.deadletters import show_dead_letter  # noqa: PLC0415

    sys.exit(show_dead_letter(settings_of(config=config, data_dir=data_dir), call_id))


@deadletters.command()
@_CALLS
@_ALL
@having(FLAGS)
def retry(*, config: str | None, data_dir: str | None, call_ids: tuple[str, ...], everything: bool) -> None:
    """Try some again; exit with 1 if one of them stays where it is."""
    from llm_proxy.wiring.deadletters import retry_dead_letters  # noqa: PLC0415

    _check_choice(call_ids, everything=everything)
    sys.exit(retry_dead_letters(settings_of(config=config, data_dir=data_dir), call_ids, everything=everything))


@deadletters.command()
@_CALLS
@_ALL
@having(FLAGS)
def drop(*, config: str | None, data_dir: str | None, call_ids: tuple[str, ...], everything: bool) -> None:
    """Delete some for good."""
    from llm_proxy.wiring.deadletters import drop_dead_letters  # noqa: PLC0415

    _check_choice(call_ids, everything=everything)
    sys.exit(drop_dead_letters(settings_of(config=config, data_dir=data_dir), call_ids, everything=everything))


def _check_choice(call_ids: tuple[str, ...], *, everything: bool) -> None:
    if bool(call_ids) == everything:
        raise click.UsageError("name calls by their ids, or say --all")
