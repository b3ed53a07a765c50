"""Runs commands of the real log10-io, each a JSON list on a line of the input; its output comes back on a line."""

import json
import sys

from click.testing import CliRunner
from log10.cli.cli_commands import cli

for line in sys.stdin:
    done = CliRunner().invoke(cli, json.loads(line))
    answer = {"status": done.exit_code, "said": done.output, "error": repr(done.exception)}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
