"""One exchange on its way into the journal, and what becomes of it when the journal cannot be written."""

import time

import pytest

from journal.disks import files_no_longer_than
from llm_proxy.journal.format import Opening
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.transport.base import Sending

OPENING = Opening(method="POST", target=b"/v1/chat/completions", endpoint="chat.completions", headers=[(b"A", b"1")])


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def start_journal(tmp_path, ledger):
    started = []

    def start(**limits):
        started.append(JournalWriter(tmp_path, limits=JournalLimits(fsync="never", **limits), ledger=ledger))
        return started[-1]

    yield start
    for journal in started:
        journal.close()


@pytest.fixture
def journal(start_journal):
    return start_journal()


@pytest.fixture
def recorded(tmp_path):
    reader = JournalReader(tmp_path, ledger=Ledger())
    seen = {}

    def read():
        seen.update({exchange.id: exchange for exchange in reader.poll(limit=1000)})
        return list(seen.values())

    return read


def capture_in(journal, ledger, *, max_body_bytes=1000, opening=OPENING, began_before_s=0.0):
    started_ns = time.monotonic_ns() - int(began_before_s * 1e9)
    capture = Capture(
        journal, ledger, exchange_id=bytes(range(16)), started_ns=started_ns, max_body_bytes=max_body_bytes
    )
    capture.open(opening, wall_ns=1_700_000_000_000_000_000)
    return capture


def test_everything_noted_is_on_record(journal, ledger, recorded):
    capture = capture_in(journal, ledger)

    capture.request_piece(b"re")
    capture.request_piece(b"quest")
    capture.answer(200, [(b"B", b"2"), (b"Set-Cookie", None)])
    capture.chunk(b"ans")
    capture.chunk(b"wer")
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert exchange.request_headers == (("A", "1"),)
    assert (exchange.request_body, exchange.request_bytes) == (b"request", 7)
    assert exchange.http_status == 200
    assert exchange.response_headers == (("B", "2"), ("Set-Cookie", None))
    assert (exchange.response_body, exchange.response_bytes, list(exchange.chunks.sizes)) == (b"answer", 6, [3, 3])
    assert (exchange.ending, exchange.truncated) == (Ending.COMPLETE, False)
    assert (ledger.get("accepted"), ledger.get("ended.complete")) == (1, 1)


def test_nothing_is_written_before_commit_and_all_of_it_then(journal, ledger, recorded):
    capture = capture_in(journal, ledger)
    capture.request_piece(b"request")
    before = recorded()

    capture.commit()

    assert before == []
    [exchange] = recorded()
    assert exchange.request_body == b"request"
    assert exchange.ending is None


def test_the_first_ending_counts(journal, ledger, recorded):
    capture = capture_in(journal, ledger)

    capture.end(Ending.COMPLETE)
    capture.end(Ending.CLIENT_DISCONNECTED, "gone")

    [exchange] = recorded()
    assert (exchange.ending, exchange.reason) == (Ending.COMPLETE, None)
    assert ledger.get("ended.complete") == 1
    assert ledger.get("ended.client_disconnected") == 0


def test_a_body_beyond_the_limit_is_cut_and_its_length_still_known(journal, ledger, recorded):
    capture = capture_in(journal, ledger, max_body_bytes=5)

    capture.request_piece(b"1234567")
    capture.answer(200, [])
    capture.chunk(b"abc")
    capture.chunk(b"def")
    capture.chunk(b"ghi")
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert (exchange.request_body, exchange.request_bytes) == (b"12345", 7)
    assert (exchange.response_body, exchange.response_bytes) == (b"abcde", 9)
    assert exchange.truncated
    assert ledger.get("truncated") == 1


def test_bodies_that_are_not_kept_leave_sizes_and_times(journal, ledger, recorded):
    opening = Opening(method="GET", target=b"/v1/files", endpoint="other", headers=[], bodies=False)
    capture = capture_in(journal, ledger, opening=opening)

    capture.request_piece(b"request")
    capture.answer(200, [])
    capture.chunk(b"abc")
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert (exchange.request_body, exchange.request_bytes) == (None, 7)
    assert (exchange.response_body, exchange.response_bytes, list(exchange.chunks.sizes)) == (None, 3, [3])
    assert not exchange.truncated


def test_of_an_error_the_answer_is_kept_though_bodies_are_not(journal, ledger, recorded):
    opening = Opening(method="GET", target=b"/v1/files", endpoint="other", headers=[], bodies=False)
    capture = capture_in(journal, ledger, opening=opening)

    capture.answer(404, [])
    capture.keep_bodies()
    capture.chunk(b"no such file")
    capture.end(Ending.UPSTREAM_ERROR)

    [exchange] = recorded()
    assert exchange.response_body == b"no such file"
    assert exchange.request_body is None


def test_a_full_journal_drops_the_call_and_counts_it_once(start_journal, ledger, recorded):
    capture = capture_in(start_journal(max_bytes=0), ledger)

    capture.request_piece(b"request")
    capture.commit()
    recording = capture.recording
    capture.answer(200, [])
    capture.chunk(b"answer")
    capture.commit()
    capture.end(Ending.COMPLETE)

    assert recording is False
    assert recorded() == []
    assert ledger.get("dropped.journal_full") == 1
    assert ledger.get("accepted") == 0
    assert ledger.get("ended.complete") == 1


def test_an_unwritable_journal_drops_the_call_and_says_which_kind_it_is(journal, ledger, recorded):
    capture = capture_in(journal, ledger)

    with files_no_longer_than(0):
        capture.commit()
    capture.end(Ending.COMPLETE)

    assert recorded() == []
    assert ledger.get("dropped.journal_unwritable") == 1


def test_a_journal_that_fails_in_the_middle_leaves_no_hole_in_a_body(journal, ledger, recorded):
    capture = capture_in(journal, ledger)
    capture.answer(200, [])
    capture.chunk(b"first ")
    capture.commit()

    with files_no_longer_than(0):
        capture.chunk(b"second ")
        capture.commit()
    capture.chunk(b"third")
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert exchange.response_body == b"first "
    assert exchange.truncated
    assert exchange.ending is Ending.COMPLETE
    assert ledger.get("truncated") == 1
    assert ledger.get("dropped.journal_unwritable") == 0


def test_an_ending_that_could_not_be_written_follows_when_writing_works_again(journal, ledger, recorded):
    capture = capture_in(journal, ledger)
    capture.commit()
    with files_no_longer_than(0):
        capture.end(Ending.UPSTREAM_TIMEOUT)
    [unfinished] = recorded()

    journal.probe()

    [exchange] = recorded()
    assert unfinished.ending is None
    assert exchange.ending is Ending.UPSTREAM_TIMEOUT
    assert exchange.truncated


def test_a_capture_of_nothing_takes_everything_and_writes_nothing():
    capture = Capture.nothing()

    capture.request_piece(b"request")
    capture.answer(200, [])
    capture.chunk(b"answer")
    capture.commit()
    capture.end(Ending.COMPLETE)

    assert capture.recording is False
    assert capture.ending is Ending.COMPLETE


@pytest.mark.parametrize(("kept", "left_out"), [("request_body", "response_body"), ("response_body", "request_body")])
def test_one_body_can_be_left_out_alone(journal, ledger, recorded, kept, left_out):
    opening = Opening(method="GET", target=b"/", endpoint="chat.completions", headers=[], **{left_out: False})
    capture = capture_in(journal, ledger, opening=opening)

    capture.request_piece(b"body")
    capture.answer(200, [])
    capture.chunk(b"body")
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert (getattr(exchange, kept), getattr(exchange, left_out)) == (b"body", None)
    assert (exchange.request_bytes, exchange.response_bytes) == (4, 4)


def sent_after(capture, milliseconds, **steps):
    """A request of which the first byte left so long after the call began."""
    return Sending(sent_ns=capture._started_ns + milliseconds * 1_000_000, **steps)


def test_our_own_part_is_what_the_connection_and_the_wait_for_a_turn_leave(journal, ledger, recorded):
    capture = capture_in(journal, ledger, began_before_s=1.0)
    capture.request_piece(b"request")  # about a second after it began

    capture.sends(sent_after(capture, 3000, queued_s=0.5, dns_s=0.2, tcp_s=0.3, tls_s=0.4))
    capture.answer(200, [])
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert (exchange.queued_s, exchange.dns_s, exchange.tcp_s, exchange.tls_s) == (0.5, 0.2, 0.3, 0.4)
    assert (exchange.sent_s, exchange.connect_s) == (3.0, pytest.approx(0.9))
    assert 0 < exchange.overhead_s <= 0.6


def test_earlier_attempts_are_no_part_of_our_own_part(journal, ledger, recorded):
    capture = capture_in(journal, ledger, began_before_s=1.0)
    capture.request_piece(b"request")

    capture.sends(Sending(tcp_s=9.0), attempt_us=1_100_000)
    capture.sends(sent_after(capture, 11_200), attempt_us=11_100_000)
    capture.answer(200, [])
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert (exchange.sent_s, exchange.connect_s) == (11.2, None)
    assert 0 < exchange.overhead_s <= 0.2


def test_a_request_that_goes_out_while_it_comes_in_has_no_part_of_ours(journal, ledger, recorded):
    capture = capture_in(journal, ledger, began_before_s=1.0)

    capture.sends(sent_after(capture, 100))
    capture.request_piece(b"request")
    capture.answer(200, [])
    capture.end(Ending.COMPLETE)

    [exchange] = recorded()
    assert (exchange.sent_s, exchange.overhead_s) == (0.1, None)


def test_how_far_a_request_came_is_on_record_without_an_answer(journal, ledger, recorded):
    capture = capture_in(journal, ledger)

    capture.sends(Sending(dns_s=4.0))
    capture.end(Ending.CLIENT_DISCONNECTED, "gone")

    [exchange] = recorded()
    assert (exchange.dns_s, exchange.connect_s, exchange.tcp_s, exchange.sent_s) == (4.0, 4.0, None, None)
