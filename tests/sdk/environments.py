"""Virtual environments for SDKs that cannot be in ours, each made once from a locked list of packages."""

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
#: For uv, which may have to fetch the packages first: some are hundreds of megabytes.
PATIENCE_S = 500.0


def python_of(name: str) -> str:
    """The interpreter of the environment for ``name``.lock, which is made if it is not there or the list is another."""
    lock = HERE / f"{name}.lock"
    there = ROOT / ".venv" / f"sdk-{name}"
    there.parent.mkdir(exist_ok=True)
    python, marker = there / "bin" / "python", there / ".installed"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    with (there.parent / f"sdk-{name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not marker.exists() or marker.read_text() != wanted:
            uv = (sys.executable, "-m", "uv", "--quiet")
            _run(*uv, "venv", "--clear", "--python", sys.executable, str(there))
            options = ("--no-deps", "--require-hashes", "--python", str(python))
            _run(*uv, "pip", "install", *options, "--requirement", str(lock))
            marker.write_text(wanted)
    return str(python)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
