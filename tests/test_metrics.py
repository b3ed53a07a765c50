import json
import signal
import stat
import subprocess
import sys
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_proxy import metrics
from llm_proxy.metrics import (
    COUNTERS,
    GAUGES,
    OVERHEAD,
    Ledger,
    exposition,
    forget_gauges,
    overhead_within_s,
    read_all,
    read_each,
    read_living,
    settle,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "proxy-0.ledger"


def write_ledger(path, names, numbers) -> None:
    content = json.dumps(names).encode().ljust(4096)
    path.write_bytes(content + b"".join(number.to_bytes(8, "little") for number in numbers))


def test_what_was_counted_is_seen_by_all_others_at_once(path):
    ledger = Ledger(path)

    ledger.add("accepted")
    ledger.add("journal_bytes", 500)
    ledger.put("in_flight", 7)

    assert read_each(path.parent) == {"proxy-0": ledger.numbers()}
    assert +ledger.numbers() == Counter({"accepted": 1, "journal_bytes": 500, "in_flight": 7})
    assert (ledger.get("accepted"), ledger.get("stored")) == (1, 0)


def test_counters_survive_a_process_that_is_killed_and_are_gone_on_with(path):
    script = (
        "import sys, time; from pathlib import Path; from llm_proxy.metrics import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]))\n"
        "for number in range(1234): ledger.add('accepted')\n"
        "print('counted', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()

    again = Ledger(path)
    again.add("accepted")

    assert again.get("accepted") == 1235
    assert read_all(path.parent)["accepted"] == 1235


def test_the_numbers_of_all_processes_are_added_up(tmp_path):
    for number in range(3):
        Ledger(tmp_path / f"proxy-{number}.ledger").add("stored", number + 1)
    (tmp_path / "notes.txt").write_text("no ledger")

    assert read_all(tmp_path)["stored"] == 6


def test_a_ledger_without_a_file_counts_in_memory():
    ledger = Ledger()

    ledger.add("dead", 3)

    assert ledger.numbers()["dead"] == 3


def test_a_name_that_nobody_declared_is_a_mistake():
    with pytest.raises(KeyError):
        Ledger().add("acceptd")


def test_the_file_is_readable_for_its_owner_only(path):
    Ledger(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_names_fit_into_their_part_of_the_file():
    assert len(json.dumps([*COUNTERS, *GAUGES, *OVERHEAD])) <= 3072  # the rest is for names of upstreams


def test_a_file_of_an_older_version_keeps_its_numbers_when_counters_are_added(path):
    write_ledger(path, ["stored", "accepted"], [5, 9])

    ledger = Ledger(path)
    ledger.add("accepted")

    assert (ledger.get("stored"), ledger.get("accepted"), ledger.get("dead")) == (5, 10, 0)


def test_a_counter_that_was_taken_away_does_no_harm(path):
    write_ledger(path, ["of_old", "stored"], [5, 9])

    assert read_all(path.parent)["stored"] == 9
    assert "of_old" not in exposition(read_all(path.parent))
    assert Ledger(path).get("stored") == 9


def test_counters_may_be_added_between_two_starts(path, monkeypatch):
    Ledger(path).add("dead", 4)
    monkeypatch.setattr(metrics, "_NAMES", ("brand_new", *metrics._NAMES))

    ledger = Ledger(path)
    ledger.add("brand_new")

    assert (ledger.get("dead"), ledger.get("brand_new")) == (4, 1)
    assert read_all(path.parent)["brand_new"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 5000,
        b"nonsense",
        b"[" * 4096,
        b"{}".ljust(5000),
        b"5".ljust(5000),
        b"[[]]".ljust(5000),
        b'["stored", "dead"]'.ljust(4096),
        b'["stored"]'.ljust(4096) + b"\x01\x02\x03",
        b'["stored", "dead"]'.ljust(4096) + bytes(11),
    ],
)
def test_a_file_that_is_no_ledger_or_torn_counts_for_nothing_and_is_replaced(path, content):
    path.write_bytes(content)
    Ledger(path.parent / "other.ledger").add("truncated", 2)

    assert +read_all(path.parent) == Counter({"truncated": 2})
    Ledger(path).add("refused.malformed")

    assert +read_all(path.parent) == Counter({"truncated": 2, "refused.malformed": 1})


def test_a_ledger_that_is_a_directory_counts_for_nothing(path):
    path.mkdir()

    assert +read_all(path.parent) == Counter()


def test_a_directory_that_does_not_exist_counts_for_nothing(tmp_path):
    assert +read_all(tmp_path / "nowhere") == Counter()


def test_what_waits_is_what_is_nowhere_else_whoever_reads_the_journal_or_does_not(tmp_path):
    Ledger(tmp_path / "proxy-0.ledger").add("accepted", 10)
    Ledger(tmp_path / "proxy-1.ledger").add("accepted", 5)
    Ledger(tmp_path / "shipper-0.ledger").add("shipped", 4)
    reader = Ledger(tmp_path / "store-0.ledger")
    for name, amount in {"stored": 3, "dead": 2, "revived": 1}.items():
        reader.add(name, amount)
    reader.put("waiting", 99)
    of_redis = Ledger(tmp_path / "worker-0.ledger")
    of_redis.add("stored", 4)

    assert read_all(tmp_path)["waiting"] == 15 - 4 - 3 - 2 + 1


WITNESS = bytes(range(16))
KILLED = """
import os, sys
from pathlib import Path
from llm_proxy.metrics import Ledger

ledger = Ledger(Path(sys.argv[1]))
ledger.add("stored", 7)
ledger.intend("stored", 3, bytes(range(16)))
for step in sys.argv[2:]:
    getattr(ledger, step)(*["stored", 3] if step == "add" else [])
os.kill(os.getpid(), 9)
"""


def kill_between(path, *steps):
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), *steps], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_process_was_about_to_count_is_counted_once_by_who_knows_that_it_happened(path):
    kill_between(path)
    asked = []

    for _ in range(2):
        assert settle(path.parent, lambda what, witness: asked.append((what, witness)) or True)

    assert asked == [("stored", WITNESS)]
    assert read_all(path.parent)["stored"] == 10
    assert Ledger(path).get("stored") == 10


@pytest.mark.parametrize("steps", [[], ["desist"], ["add"]])
def test_what_did_not_happen_and_what_was_counted_are_not_counted_again(path, steps):
    kill_between(path, *steps)

    assert settle(path.parent, lambda what, witness: steps != [])

    assert read_all(path.parent)["stored"] == (10 if steps == ["add"] else 7)


def test_the_next_process_leaves_an_open_intention_to_be_settled_and_counts_beside_it(path):
    kill_between(path)

    Ledger(path).add("stored")
    settle(path.parent, lambda what, witness: True)

    assert len(read_each(path.parent)) == 2
    assert read_all(path.parent)["stored"] == 11
    assert Ledger(path).get("stored") == 10


def test_an_orphan_that_still_counts_keeps_its_file(path):
    orphan = Ledger(path)
    orphan.add("accepted")

    successor = Ledger(path)
    successor.add("accepted")
    orphan.add("accepted")

    assert read_all(path.parent)["accepted"] == 3
    assert path.name in {one.name for one in path.parent.iterdir()}


def test_nobody_counts_in_the_place_of_a_process_that_lives(path):
    ledger = Ledger(path)
    ledger.intend("stored", 1, WITNESS)

    assert not settle(path.parent, lambda what, witness: True)

    assert ledger.get("stored") == 0


def test_the_exposition_is_what_prometheus_reads():
    numbers = Counter({name: place for place, name in enumerate([*COUNTERS, *GAUGES])})

    families = list(text_string_to_metric_families(exposition(numbers)))

    read = {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}
    for name in COUNTERS:
        base, _, label = name.partition(".")
        assert read.pop((f"llm_proxy_{base}_total", *filter(None, [label]))) == numbers[name]
    for name in GAUGES:
        assert read.pop((f"llm_proxy_{name}",)) == numbers[name]
    assert {name for name, *_ in read} == {f"llm_proxy_overhead_seconds_{of}" for of in ("bucket", "sum", "count")}
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    assert {family.type for family in families} == {"counter", "gauge", "histogram"}


def test_the_numbers_of_processes_that_run_are_told_from_those_that_do_not(tmp_path):
    living = Ledger(tmp_path / "living.ledger")
    write_ledger(tmp_path / "dead.ledger", ["stored"], [5])
    living.add("stored", 7)

    assert {name: numbers["stored"] for name, numbers in read_living(tmp_path).items()} == {"living": 7}


def test_our_own_part_is_a_histogram_over_all_processes(tmp_path):
    one, other = Ledger(tmp_path / "one.ledger"), Ledger(tmp_path / "other.ledger")

    for seconds in (0.0, 0.0001, 0.00011, 0.004):
        one.observe_overhead(seconds)
    other.observe_overhead(7.5)

    (family,) = (
        family
        for family in text_string_to_metric_families(exposition(read_all(tmp_path)))
        if family.name == "llm_proxy_overhead_seconds"
    )
    told = {(sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value for sample in family.samples}
    counts = [told["bucket", bound] for bound in ("0.0001", "0.00025", "0.0025", "0.005", "1", "+Inf")]
    assert counts == [2, 3, 3, 4, 4, 5]
    assert (told["count", None], told["sum", None]) == (5, pytest.approx(7.50421))


@pytest.mark.parametrize(
    ("seconds", "half", "most"),
    [
        ([], None, None),
        ([0.0002], 0.00025, 0.00025),
        ([0.0002] * 99 + [0.03], 0.00025, 0.00025),
        ([0.0002] * 98 + [0.03] * 2, 0.00025, 0.05),
        ([0.0002, 5.0], 0.00025, None),
    ],
)
def test_within_what_time_our_own_part_was(seconds, half, most):
    ledger = Ledger()
    for each in seconds:
        ledger.observe_overhead(each)

    assert (overhead_within_s(ledger.numbers(), 0.5), overhead_within_s(ledger.numbers(), 0.99)) == (half, most)


def test_numbers_that_nobody_counted_are_shown_as_zero():
    lines = exposition(Counter()).splitlines()

    assert "llm_proxy_accepted_total 0" in lines
    assert 'llm_proxy_dropped_total{reason="journal_full"} 0' in lines


def test_a_process_that_cannot_write_its_file_is_told(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="Not a directory"):
        Ledger(tmp_path / "file" / "proxy-0.ledger")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_the_gauges_of_a_process_that_is_gone_can_be_forgotten_and_its_counters_stay(tmp_path):
    ledger = Ledger(tmp_path / "store-0.ledger")
    ledger.put("waiting", 5)
    ledger.add("stored", 3)

    forget_gauges(tmp_path / "store-0.ledger")
    forget_gauges(tmp_path / "nobody.ledger")

    assert read_each(tmp_path) == {"store-0": ledger.numbers()}
    assert (ledger.get("waiting"), ledger.get("stored")) == (0, 3)


def test_which_upstream_is_left_alone_is_told_by_as_many_processes_and_forgotten_with_them(tmp_path):
    first, second = (Ledger(tmp_path / f"proxy-{number}.ledger", upstreams=["groq", "azure"]) for number in (0, 1))

    for ledger in (first, second):
        ledger.put_left_alone("groq", 1)
        ledger.put_left_alone("without-a-gauge", 1)

    told = [line for line in exposition(read_all(tmp_path)).splitlines() if line.startswith("llm_proxy_upstream")]
    assert told == [
        'llm_proxy_upstream_left_alone{upstream="azure"} 0',
        'llm_proxy_upstream_left_alone{upstream="groq"} 2',
    ]
    forget_gauges(tmp_path / "proxy-0.ledger")
    assert metrics.left_alone(read_all(tmp_path)) == {"groq": 1, "azure": 0}


def test_the_next_process_finds_no_upstream_left_alone(path):
    before = Ledger(path, upstreams=["groq"])
    before.put_left_alone("groq", 1)
    content = path.read_bytes()
    del before
    path.unlink()
    path.write_bytes(content)

    Ledger(path, upstreams=["groq"])

    assert read_all(path.parent)["upstream_left_alone.groq"] == 0


def test_more_upstreams_than_there_is_room_for_do_no_harm(path):
    many = Ledger(path, upstreams=[f"upstream-number-{number}" for number in range(1000)])

    many.put_left_alone("upstream-number-0", 1)
    many.put_left_alone("upstream-number-999", 1)
    many.add("accepted")

    numbers = read_all(path.parent)
    assert (numbers["upstream_left_alone.upstream-number-0"], numbers["accepted"]) == (1, 1)
    assert "upstream_left_alone.upstream-number-999" not in numbers
