"""The command ``llm-proxy``: one short function per command. What was done wrong is said in one line, exit status 2."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from llm_proxy import __version__
from llm_proxy.errors import ConfigError, StoreUnavailable

_FLAGS = (
    click.option("--config", type=click.Path(), help="Configuration file (TOML)."),
    click.option("--data-dir", type=click.Path(), help="Directory of the journal and the store."),
)
_SERVE_FLAGS = (
    click.option("--host", help="Address to listen on."),
    click.option("--port", type=int, help="Port to listen on; 0 is any free one."),
    click.option("--upstream", help="Base URL of the default upstream, including its /v1."),
    click.option("--workers", type=int, help="Proxy processes on the port."),
)
_CONDITIONS = (
    click.option("--tag", "tags", multiple=True, help="Only calls that have this tag; may be repeated."),
    click.option("--session", help="Only calls of this session id."),
    click.option("--user", help="Only calls of this user id."),
    click.option("--model", help="Only calls of this model, as asked for or as answered."),
    click.option("--status", type=click.Choice(["started", "finished", "failed"]), help="Only calls in this state."),
    click.option("--since", help="Only calls since then: 15m, 2h, 7d, or an ISO 8601 time."),
    click.option("--search", help="Only calls whose request or response contains this text."),
)


def _with(options: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class _Commands(click.Group):
    """A group whose commands end in silence when nobody reads on, with the status of a command that a signal ended."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `llm-proxy logs | head`; caught here, since click makes an error of it
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is flushed at exit
            sys.exit(141)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llm-proxy")
def cli() -> None:
    """Log every call of your programs to LLM providers: point OPENAI_BASE_URL here, change no code."""


@cli.command()
@_with(_SERVE_FLAGS + _FLAGS)
def serve(**flags: Any) -> None:
    """Relay calls, record them, and serve what was recorded."""
    # Here and below: a command imports what it needs, so that the others start fast.
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring.serve import run  # noqa: PLC0415

    sys.exit(run(load_settings(flags=flags)))


@cli.command()
@_with(_SERVE_FLAGS + _FLAGS)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def config(*, as_json: bool, **flags: Any) -> None:
    """Show each setting with its value and where that comes from."""
    from llm_proxy.config import effective  # noqa: PLC0415

    for setting in effective(flags=flags):
        if as_json:
            click.echo(json.dumps({"key": setting.key, "value": setting.value, "origin": setting.origin}))
        else:
            click.echo(f"{setting.key} = {json.dumps(setting.value, ensure_ascii=False)}  # {setting.origin}")


@cli.command()
@click.argument("completion_id", required=False)
@_with(_FLAGS)
@_with(_CONDITIONS)
@click.option("--limit", type=click.IntRange(min=0), default=50, show_default=True, help="0 is all.")
@click.option("--json", "as_json", is_flag=True, help="Whole records, one JSON object a line.")
@click.option("-f", "--follow", is_flag=True, help="Go on with new calls as they are recorded.")
def logs(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """List the recorded calls, newest first; or show one, by its id."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring.logs import show_logs  # noqa: PLC0415

    settings = load_settings(flags={"config": config, "data_dir": data_dir})
    sys.exit(show_logs(settings, **wanted))


@cli.command()
@_with(_FLAGS)
@_with(_CONDITIONS)
@click.option("--limit", type=click.IntRange(min=0), default=0, show_default=True, help="0 is all.")
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv", "parquet", "openai-finetune"]), required=True,
    help="jsonl loses nothing and can be imported again; see docs/transfer.md.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="File to write; standard output without it.")
def export(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Write the recorded calls to a file, and say what was left out and why."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring.export import run_export  # noqa: PLC0415

    sys.exit(run_export(load_settings(flags={"config": config, "data_dir": data_dir}), **wanted))


@cli.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@_with(_FLAGS)
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "llm", "helicone", "litellm"]),
    help="Who wrote the file; found out from its content without it.",
)  # fmt: skip
def import_(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Store what an export or another program has written; importing twice changes nothing."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring.imports import run_import  # noqa: PLC0415

    sys.exit(run_import(load_settings(flags={"config": config, "data_dir": data_dir}), **wanted))


@cli.command()
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
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring.demo import run_demo, run_demo_through  # noqa: PLC0415

    if through is None:
        if data_dir is not None:
            raise click.UsageError("--data-dir goes with --through; a private proxy's data is kept by --keep")
        sys.exit(run_demo(upstream_port=upstream_port, keep=keep))
    if keep is not None or not upstream_port:
        raise click.UsageError("--through needs --upstream-port, and goes without --keep")
    settings = load_settings(flags={"data_dir": data_dir})
    sys.exit(run_demo_through(through, upstream_port=upstream_port, settings=settings))


@cli.group()
def keys() -> None:
    """Make, list, revoke and rotate the keys that open the records."""


_FORM = click.option(
    "--format", "form", type=click.Choice(["text", "env", "json"]), default="text", show_default=True,
    help="env prints LLM_PROXY_KEY=... and LLM_PROXY_ORGANIZATION=... for a shell or an environment file.",
)  # fmt: skip


@keys.command()
@click.option("--organization", required=True, help="Name or id; made if it is new.")
@click.option("--scope", required=True, help="What it is for: proxy, write, read, admin, with commas between them.")
@click.option("--project", help="Name of a project of the organisation; made if it is new.")
@click.option("--label", help="What it is for, in your words.")
@_FORM
@_with(_FLAGS)
def create(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Make a key and print it, this once."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.create(load_settings(flags={"config": config, "data_dir": data_dir}), **wanted))


@keys.command("list")
@click.option("--organization", help="Only the keys of this one, by its name or id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@_with(_FLAGS)
def list_(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """List the keys, oldest first, each by its id, its ends and its last use."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.show(load_settings(flags={"config": config, "data_dir": data_dir}), **wanted))


@keys.command()
@click.argument("key_id")
@_with(_FLAGS)
def revoke(*, config: str | None, data_dir: str | None, key_id: str) -> None:
    """Let a key, by its id, be valid no longer."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.revoke(load_settings(flags={"config": config, "data_dir": data_dir}), key_id=key_id))


@keys.command()
@click.argument("key_id")
@click.option("--grace", default="0s", show_default=True, help="How long the old key stays valid: 15m, 2h, 7d.")
@_FORM
@_with(_FLAGS)
def rotate(*, config: str | None, data_dir: str | None, **wanted: Any) -> None:
    """Make a new key in the place of one, by its id, and print it, this once."""
    from llm_proxy.config import load_settings  # noqa: PLC0415
    from llm_proxy.wiring import keys  # noqa: PLC0415

    sys.exit(keys.rotate(load_settings(flags={"config": config, "data_dir": data_dir}), **wanted))


def main() -> NoReturn:
    """Entry point of the command."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as exc:
        exc.show()
        sys.exit(exc.exit_code)
    except (click.ClickException, ConfigError, StoreUnavailable) as exc:
        message = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        click.echo(f"llm-proxy: {' '.join(message.split())}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(0)
