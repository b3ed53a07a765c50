"""Commands about what is recorded: look, carry it elsewhere and back, delete it, see how it comes about."""

import sys
from pathlib import Path
from typing import Any

import click

from llm_proxy.cli.options import CONDITIONS, FLAGS, WHOSE, having, settings_of


@click.command()
@click.argument("completion_id", required=False)
@having(FLAGS)
@having(CONDITIONS)
@having(WHOSE)
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="0 is all.")
@click.option("--json", "as_json", is_flag=True, help="Whole records, one JSON object a line.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new calls as they are recorded.")
def logs(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """List the recorded calls, newest first; or show one, by its id."""
    from llm_proxy.wiring.logs import show_logs  # noqa: PLC0415

    settings = settings_of(config=config, data_dir=data_dir)
    sys.exit(show_logs(settings, **wanted))


@click.command()
@having(FLAGS)
@having(CONDITIONS)
@having(WHOSE)
@click.option("--limit", type=click.IntRange(min=0), default=0, show_default=True, help="0 is all.")
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv", "parquet", "openai-finetune"]), required=True,
    help="jsonl loses nothing and can be imported again; see docs/transfer.md.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="File to write; standard output without it.")
def export(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Write the recorded calls to a file, and say what was left out and why."""
    from llm_proxy.wiring.export import run_export  # noqa: PLC0415

    sys.exit(run_export(settings_of(config=config, data_dir=data_dir), **wanted))


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@having(FLAGS)
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "llm", "helicone", "litellm"]),
    help="Who wrote the file; found out from its content without it.",
)  # fmt: skip
def import_(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Store what an export or another program has written; importing twice changes nothing."""
    from llm_proxy.wiring.imports import run_import  # noqa: PLC0415

    sys.exit(run_import(settings_of(config=config, data_dir=data_dir), **wanted))


@click.command()
@click.option(
    "--through",
    metavar="URL",
    help="Send the calls through this running proxy instead of a private one. It must have been started with "
    "--upstream http://127.0.0.1:PORT/v1, where PORT is that of --upstream-port.",
)
@click.option(
    "--upstream-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port of the scripted upstream; any free one unless given.",
)
@click.option(
    "--data-dir", type=click.Path(), help="Where the proxy of --through keeps its records, unless it is the default."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the private proxy's data in this directory.")
def demo(*, through: str | None, upstream_port: int, data_dir: str | None, keep: Path | None) -> None:
    """Send a handful of scripted calls through the proxy and show what was recorded; no provider key is needed."""
    from llm_proxy.wiring.demo import run_demo, run_demo_through  # noqa: PLC0415

    if through is None:
        if data_dir is not None:
            raise click.UsageError("--data-dir goes with --through; a private proxy's data is kept by --keep")
        sys.exit(run_demo(upstream_port=upstream_port, keep=keep))
    if keep is not None or not upstream_port:
        raise click.UsageError("--through needs --upstream-port, and goes without --keep")
    settings = settings_of(data_dir=data_dir)
    sys.exit(run_demo_through(through, upstream_port=upstream_port, settings=settings))


@click.command()
@having(FLAGS)
@click.option("--id", "ids", multiple=True, help="The call of this id; may be repeated.")
@click.option("--session", help="Calls of this session id.")
@click.option("--user", help="Calls of this user id.")
@click.option("--before", help="Calls that began before then: 15m, 2h, 7d (ago), or an ISO 8601 time.")
@having(WHOSE)
@click.option("--bodies", "bodies_only", is_flag=True, help="Only what was said; the rest of the records stays.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="The receipt as a JSON object.")
def delete(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Delete records for good, and say what was removed; what is given must all hold."""
    from llm_proxy.wiring.delete import run_delete  # noqa: PLC0415

    sys.exit(run_delete(settings_of(config=config, data_dir=data_dir), **wanted))


@click.command()
@having(FLAGS)
@having(CONDITIONS)
@having(WHOSE)
@click.option("--limit", type=click.IntRange(min=0), default=0, show_default=True, help="0 is all.")
def reprice(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Compute the cost of recorded calls again, by the prices of now; a known cost never becomes an unknown one."""
    from llm_proxy.wiring.reprice import run_reprice  # noqa: PLC0415

    sys.exit(run_reprice(settings_of(config=config, data_dir=data_dir), **wanted))


@click.command()
@having(FLAGS)
def reindex(*, config: str | None, data_dir: str | None) -> None:
    """Make the index for search anew; searches find everything meanwhile, if slower."""
    from llm_proxy.wiring.indexing import run_reindex  # noqa: PLC0415

    sys.exit(run_reindex(settings_of(config=config, data_dir=data_dir)))
