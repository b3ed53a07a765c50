"""The group of all commands, and the one place where their errors end: in one line, exit status 2."""

import os
import sys
from typing import Any, NoReturn

import click

from llm_proxy import __version__
from llm_proxy.cli import keys, pipeline, plan, records, run
from llm_proxy.errors import ConfigError, StoreUnavailable


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


for _command in (
    run.serve,
    run.proxy,
    run.worker,
    run.store,
    run.config,
    plan.check,
    plan.route,
    records.logs,
    records.export,
    records.import_,
    records.delete,
    records.reprice,
    records.reindex,
    pipeline.status,
    pipeline.deadletters,
    pipeline.migrate,
    keys.keys,
    records.demo,
):
    cli.add_command(_command)


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
