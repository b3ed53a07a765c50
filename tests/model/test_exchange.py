from array import array
from uuid import UUID

import pytest

from llm_proxy.model.exchange import Chunks, Ending, Endpoint, id_text, new_id


def chunks(*times_and_sizes: tuple[int, int]) -> Chunks:
    return Chunks(
        times_us=array("Q", [time for time, _ in times_and_sizes]),
        sizes=array("Q", [size for _, size in times_and_sizes]),
    )


@pytest.mark.parametrize(
    ("pieces", "gap_s"),
    [
        ([], None),
        ([(5, 1)], None),
        ([(5, 1), (5, 1)], 0.0),
        ([(1_000_000, 1), (1_500_000, 1), (4_000_000, 1), (4_100_000, 1)], 2.5),
    ],
)
def test_the_longest_gap_is_between_two_pieces(pieces, gap_s):
    assert chunks(*pieces).longest_gap_s == gap_s


def test_a_byte_has_arrived_with_the_piece_that_it_is_in():
    arrived = chunks((100_000, 3), (200_000, 0), (300_000, 2))

    times = [arrived.arrival_s(offset) for offset in range(7)]

    assert times == [0.1, 0.1, 0.1, 0.3, 0.3, None, None]


def test_chunks_of_two_exchanges_are_not_the_same_arrays():
    one, other = Chunks(), Chunks()

    one.sizes.append(1)

    assert len(other.sizes) == 0


def test_times_and_sizes_of_eight_bytes_fit():
    assert chunks((2**64 - 1, 2**64 - 1)).arrival_s(0) == (2**64 - 1) / 1e6


def test_ids_are_canonical_version_7_and_sort_by_the_time_they_were_made():
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(set(ids))
    assert {UUID(one).version for one in ids} == {7}
    assert all(str(UUID(one)) == one for one in ids)


def test_words_in_files_and_answers_are_those_that_were_promised():
    assert set(Ending) == {
        "complete",
        "upstream_error",
        "upstream_unreachable",
        "upstream_timeout",
        "upstream_broke_off",
        "client_disconnected",
        "refused",
        "aborted",
    }
    assert set(Endpoint) == {
        "chat.completions",
        "completions",
        "embeddings",
        "responses",
        "moderations",
        "images",
        "audio.speech",
        "audio.transcriptions",
        "files",
        "batches",
        "messages",
        "messages.count_tokens",
        "generate_content",
        "converse",
        "realtime",
        "invoke_model",
        "other",
    }


def test_the_text_of_an_id_is_that_of_its_bytes():
    made = new_id()

    assert id_text(UUID(made).bytes) == made
    assert id_text(bytes(16)) == "00000000-0000-0000-0000-000000000000"
