"""The process that reads the configuration anew for a supervisor: in with what is in force, out with what is new.

What it says goes through a pipe, with all secrets, and nowhere else.
"""

import sys
from collections.abc import Mapping

import msgspec

from llm_proxy.config import load_settings
from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.check import findings
from llm_proxy.wiring.differences import changes, fingerprints, keeping_fixed
from llm_proxy.wiring.reloading import Asked, Told


def reread(asked: Asked, environ: Mapping[str, str] | None = None) -> Told:
    """Read, check and compare."""
    running = Settings.from_json(asked.running)
    try:
        settings, kept = keeping_fixed(load_settings(flags=asked.flags, environ=environ), running)
    except ConfigError as exc:
        return Told(problems=[" ".join(str(exc).split())])
    wrong = [f"{found.name}: {found.says}" for found in findings(settings, asked.command) if not found.ok]
    if wrong:
        return Told(problems=wrong)
    files = fingerprints(settings)
    changed = changes(settings, running, files=files, files_before=asked.files)
    return Told(settings=settings.to_json(), files=files, changed=changed, kept=kept)


def main() -> None:
    """Be that process."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    sys.stdout.buffer.write(msgspec.json.encode(reread(asked)))


if __name__ == "__main__":
    main()
