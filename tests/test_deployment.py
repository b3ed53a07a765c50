"""compose.yaml and Dockerfile as far as they can be checked without an engine that runs them.

What they name must exist here: commands, settings, files, volumes. What they run to see that all is well is run.
"""

import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from llm_proxy.cli import cli
from llm_proxy.config import load_settings
from ports import free_port
from redis_service import RedisServer
from running import PATIENCE_S, bare_environment, serve
from services import _programs

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "llm-proxy"}
#: What compose.yaml wants from the environment.
SECRETS = {"POSTGRES_PASSWORD": "0123456789abcdef", "LLM_PROXY_ADMIN_KEY": "0123456789abcdef0123456789abcdef"}


def instructions():
    """Instruction and argument of each line of the Dockerfile, with lines that go on put together."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]


def last(name):
    return [argument for instruction, argument in instructions() if instruction == name][-1]


def image_environment():
    return dict(
        pair.split("=", 1)
        for instruction, argument in instructions()
        if instruction == "ENV"
        for pair in shlex.split(argument)
    )


def filled(text):
    """``text`` with ``${NAME:?reason}`` replaced, as compose does it."""
    return re.sub(r"\$\{(\w+):\?[^}]+\}", lambda match: SECRETS[match[1]], text)


def test_the_roles_are_all_there_and_each_is_a_command():
    assert OURS.keys() == {"proxy", "worker", "store"}
    for name, service in OURS.items():
        assert service["command"] == [name]
        assert name in cli.commands
    assert json.loads(last("ENTRYPOINT")) == ["llm-proxy"]
    assert json.loads(last("CMD"))[0] in cli.commands


@pytest.mark.parametrize("name", OURS)
def test_what_a_role_is_told_is_valid_and_all_that_it_needs(name):
    told = {key: filled(value) for key, value in OURS[name]["environment"].items()}

    settings = load_settings(environ={**image_environment(), **told})

    assert (settings.host, str(settings.data_dir)) == ("0.0.0.0", "/data")
    assert (settings.redis.url is not None) == (name != "store")
    assert (settings.store.url is not None) == (name != "proxy")
    assert (settings.auth.admin_key is not None) == (name == "store")


def test_urls_lead_to_the_services_that_are_there():
    urls = [filled(text) for service in OURS.values() for text in service["environment"].values() if "://" in text]

    hosts = {re.search(r"[@/]([a-z]+):\d+/", url)[1] for url in urls}

    assert hosts == COMPOSE["services"].keys() - OURS.keys()
    postgres = COMPOSE["services"]["postgres"]["environment"]
    wanted = (
        f"{postgres['POSTGRES_USER']}:{filled(postgres['POSTGRES_PASSWORD'])}@postgres:5432/{postgres['POSTGRES_DB']}"
    )
    assert all(wanted in url for url in urls if url.startswith("postgresql"))


def test_every_volume_is_declared_and_every_declared_one_is_used():
    used = [
        volume.partition(":")[0] for service in COMPOSE["services"].values() for volume in service.get("volumes", [])
    ]

    assert sorted(used) == sorted(COMPOSE["volumes"])


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_service_is_locked_in_restarted_and_looked_after(name):
    service = COMPOSE["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert "/tmp" in service["tmpfs"]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"]["test"][1] not in ("curl", "wget")
    # Whoever waits for another one to be healthy would not start without it.
    assert "depends_on" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_is_built_in_two_stages_and_runs_as_nobody():
    stages = [argument for instruction, argument in instructions() if instruction == "FROM"]

    assert len(stages) == 2
    assert stages[0].endswith(" AS build")
    assert int(last("USER")) > 0
    assert last("VOLUME") == image_environment()["LLM_PROXY_DATA_DIR"]


def test_what_is_copied_into_the_image_is_there_and_let_in():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for instruction, argument in instructions()
        if instruction == "COPY" and not argument.startswith("--from=")
        for source in argument.split()[:-1]
    }

    assert copied == let_in
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_what_is_installed_in_the_image_has_the_driver_of_the_store():
    assert re.search(r"^psycopg==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


async def test_the_checks_of_our_own_services_work_with_python_alone(upstream, tmp_path):
    alive = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    ready = OURS["store"]["healthcheck"]["test"][1:]

    async with serve(tmp_path, upstream.url) as product:
        env = {**bare_environment(tmp_path), "LLM_PROXY_PORT": str(product.port)}
        well = [await check(command, product.port, env) for command in (alive, ready)]
    ill = [await check(command, product.port, env) for command in (alive, ready)]

    assert well == [0, 0]
    assert 0 not in ill


async def check(command, port, env):
    """The exit status of a check, made to look at another port."""
    assert command[0] == "python"
    words = [sys.executable, *(word.replace("8080/", f"{port}/") for word in command[1:])]
    done = await asyncio.to_thread(subprocess.run, words, env=env, capture_output=True, timeout=PATIENCE_S, check=False)
    return done.returncode


def test_the_check_of_redis_works(tmp_path):
    words = COMPOSE["services"]["redis"]["healthcheck"]["test"][1:]
    server = RedisServer(tmp_path)
    command = [words[0], "-p", str(server.port), *words[1:]]
    try:
        well = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)
    finally:
        server.stop()
    ill = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)

    assert (well.returncode, well.stdout) == (0, b"PONG\n")
    assert ill.returncode != 0


def test_redis_takes_its_options_and_keeps_what_it_accepts(tmp_path):
    program, *options = COMPOSE["services"]["redis"]["command"]
    wanted = {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in zip(options[::2], options[1::2], strict=True)
    }

    server = RedisServer(tmp_path, **wanted)
    told = server.cli("INFO")
    server.stop()

    assert program == "redis-server"
    assert "aof_enabled:1" in told
    assert "maxmemory_policy:noeviction" in told


def test_the_check_of_postgresql_works(postgres):
    program, *options = COMPOSE["services"]["postgres"]["healthcheck"]["test"][1:]
    found = shutil.which(program) or shutil.which(program, path=_programs())
    if found is None:
        pytest.skip(f"{program} is not installed here")

    well, ill = (
        subprocess.run([found, *options, "--host", "127.0.0.1", "--port", str(port)], check=False, timeout=PATIENCE_S)
        for port in (postgres.port, free_port())
    )

    assert well.returncode == 0
    assert ill.returncode != 0
