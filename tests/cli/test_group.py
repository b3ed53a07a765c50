"""The command line as a shell sees it: what is printed where, and with which exit status."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llm_proxy import __version__
from running import PATIENCE_S, bare_environment

#: Modules that cost start-up time and that most commands can do without.
HEAVY = ("alembic", "httpx", "jinja2", "pydantic", "rich", "sqlalchemy", "starlette", "uvicorn")
SECRET = "sk-proj-0123456789abcdef"


@pytest.fixture
def llm_proxy(tmp_path):
    def llm_proxy(*arguments, **env):
        return subprocess.run(
            [sys.executable, "-m", "llm_proxy", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=bare_environment(tmp_path) | env,
            timeout=PATIENCE_S,
            check=False,
        )

    return llm_proxy


def test_the_version_is_that_of_the_package(llm_proxy):
    done = llm_proxy("--version")

    assert (done.returncode, done.stdout) == (0, f"llm-proxy, version {__version__}\n")


def test_the_installed_command_is_the_same(llm_proxy, tmp_path):
    command = [Path(sys.executable).parent / "llm-proxy", "--version"]

    installed = subprocess.run(command, capture_output=True, text=True, env=bare_environment(tmp_path), check=False)

    assert installed.stdout == llm_proxy("--version").stdout


def test_without_a_command_the_help_is_shown(llm_proxy):
    done = llm_proxy()

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")
    assert all(f"\n  {command} " in done.stderr for command in ("serve", "logs", "config", "demo"))


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("serve", "--host --port --data-dir --upstream --workers --config"),
        ("config", "--host --port --data-dir --upstream --workers --config --json"),
        (
            "logs",
            "--tag --session --user --model --status --since --search --where --limit --json -f --follow --data-dir"
            " --config",
        ),
        ("demo", "--through --upstream-port --data-dir --keep"),
    ],
)
def test_every_flag_is_in_the_help_of_its_command(llm_proxy, command, flags):
    done = llm_proxy(command, "--help")

    shown = set(re.findall(r"(?<=[ ,])--?[a-z][a-z-]*", done.stdout))
    assert set(flags.split()) <= shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bogus",), "'bogus'"),
        (("serve", "--prot", "1"), "--prot"),
        (("serve", "--port", "eighty"), "'eighty' is not a valid integer"),
        (("serve", "--port", "65536"), "--port: port: input should be less than or equal to 65535, not 65536"),
        (("serve", "--workers", "0"), "--workers: workers: input should be greater than or equal to 1, not 0"),
        (
            ("serve", "--upstream", "ftp://h"),
            "--upstream: upstream: must begin with http:// or https:// and a host name",
        ),
        (("config", "--config", "none.toml"), "none.toml: cannot be read: No such file or directory"),
        (("demo", "--through", "http://127.0.0.1:1"), "--through needs --upstream-port, and goes without --keep"),
        (("demo", "--data-dir", "d"), "--data-dir goes with --through; a private proxy's data is kept by --keep"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said_in_one_line(llm_proxy, arguments, message):
    done = llm_proxy(*arguments)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("llm-proxy: ")
    assert message in done.stderr


def test_a_wrong_variable_is_said_in_one_line(llm_proxy):
    done = llm_proxy("logs", LLM_PROXY_PROT="1")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "llm-proxy: LLM_PROXY_PROT: is no setting; did you mean LLM_PROXY_PORT?\n"


def test_a_port_that_is_taken_is_said_in_one_line(llm_proxy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = llm_proxy("serve", "--port", str(port))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"llm-proxy: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert done.stderr.count("\n") == 1


def test_each_setting_is_printed_with_its_origin_and_secrets_are_masked(llm_proxy, tmp_path):
    (tmp_path / "a.toml").write_text("[journal]\nfsync = 'never'\n")
    env = {"LLM_PROXY_HOST": "::1", "LLM_PROXY_UPSTREAM_KEY_ENV": "MY_KEY", "MY_KEY": SECRET}

    done = llm_proxy("config", "--config", "a.toml", "--port", "9", **env)

    assert (done.returncode, done.stderr) == (0, "")
    assert {
        'host = "::1"  # LLM_PROXY_HOST',
        "port = 9  # --port",
        "workers = 1  # default",
        'journal.fsync = "never"  # a.toml:2',
        'upstream_key = "…cdef"  # MY_KEY',
    } <= set(done.stdout.splitlines())
    assert SECRET not in done.stdout


def test_settings_are_printed_as_json_as_well(llm_proxy):
    done = llm_proxy("config", "--json", "--workers", "3")

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"key": "workers", "value": 3, "origin": "--workers"} in lines
    assert {"key": "tls.ca_file", "value": None, "origin": "default"} in lines


def test_a_reader_that_has_gone_ends_a_command_in_silence(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)

    done = subprocess.run(
        [sys.executable, "-m", "llm_proxy", "config"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=bare_environment(tmp_path),
        check=False,
    )
    os.close(theirs)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("--help",), set()),
        (("serve", "--help"), set()),
        (("config",), {"pydantic"}),
        (("logs", "--json"), {"pydantic", "sqlalchemy"}),
        (("logs", "--json", "-h"), set()),
    ],
    ids=lambda value: " ".join(sorted(value) if isinstance(value, set) else value),
)
def test_a_command_loads_no_more_than_it_needs(tmp_path, arguments, needed):
    report = f"""
import atexit, sys
atexit.register(lambda: print("loaded:", *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr))
from llm_proxy.cli import main
sys.argv[1:] = {arguments}
main()
"""

    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, env=bare_environment(tmp_path), check=False
    )

    assert done.returncode == 0
    assert set(done.stderr.splitlines()[-1].removeprefix("loaded:").split()) == needed
