import re
from pathlib import Path

import pytest

from llm_proxy import wiring
from llm_proxy.metrics import COUNTERS
from llm_proxy.settings.table import OPTIONS, Settings
from llm_proxy.wiring.differences import FIXED, READ_BY, changes, keeping_fixed, roles_reading

ROOM = Path(wiring.__file__).parent
#: The files of wiring that a role is made of, besides its own.
PARTS = {
    "proxy": ("routes", "upstreams"),
    "shipper": ("redis",),
    "worker": ("redis", "pricing", "stores", "upgrade"),
    "housekeeper": ("indexing", "retention", "stores", "uploads", "upgrade"),
    "store": (
        "calls_rooms",
        "deadletters",
        "guarded",
        "house_rooms",
        "pricing",
        "redis",
        "sign_on",
        "stores",
        "uploads",
        "works",
    ),
}


@pytest.mark.parametrize("role", READ_BY)
def test_what_a_role_is_made_of_reads_nothing_but_what_the_table_has_for_it(role):
    read = set()
    for name in (role, *PARTS[role]):
        text = (ROOM / f"{name}.py").read_text()
        read |= set(re.findall(r"\bsettings\.([a-z]\w+)", re.sub(r"^from .*$", "", text, flags=re.MULTILINE)))
    read -= {"table", "to_json", "all_upstreams", "model_copy", "upstreams_of"}

    known = {part.split(".")[0] for part in (*READ_BY[role], *FIXED)}

    assert read <= known, f"{role} reads {read - known}"


@pytest.mark.parametrize("role", READ_BY)
def test_what_is_started_again_is_counted(role):
    assert f"restarts.{role}" in COUNTERS


@pytest.mark.parametrize("option", sorted({key[0] for key in OPTIONS}))
def test_every_setting_is_read_by_somebody_or_fixed(option):
    parts = [part for read in READ_BY.values() for part in read] + list(FIXED)

    assert any(part.split(".")[0] == option for part in parts)


@pytest.mark.parametrize(
    ("keys", "roles"),
    [
        (["upstreams.openai"], {"proxy", "store"}),
        (["routes.fast", "timeouts.idle_s"], {"proxy"}),
        (["pricing.file"], {"store", "worker"}),
        (["usage.estimate"], {"store", "worker"}),
        (["log.level"], {"proxy", "shipper", "store", "worker", "housekeeper"}),
        (["retention.max_bytes"], {"store", "housekeeper"}),
        (["upstream"], {"proxy", "store"}),
        ([], set()),
    ],
)
def test_who_is_concerned(keys, roles):
    assert roles_reading(keys) == roles


def test_a_secret_that_differs_is_a_change_and_not_shown():
    some, other = (
        Settings.model_validate({"auth": {"admin_key": f"a-key-of-twenty-characters-{end}"}}) for end in "ab"
    )

    assert changes(some, other, files={}, files_before={}) == ["auth.admin_key"]


def test_what_is_the_same_is_kept_without_a_word():
    assert keeping_fixed(Settings(), Settings()) == (Settings(), [])
