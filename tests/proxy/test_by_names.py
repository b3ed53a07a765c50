"""What follows from the names of a head is found once, and not remembered without bound."""

from llm_proxy.proxy.by_names import _REMEMBERED, ByNames, names_of


def test_what_follows_from_the_same_names_is_found_once():
    found = []
    by_names = ByNames(lambda names: found.append(names) or len(names))

    answers = [by_names[names_of(head)] for head in ([(b"A", b"1"), (b"B", b"2")], [(b"A", b"3"), (b"B", b"4")])]

    assert answers == [2, 2]
    assert found == [(b"A", b"B")]


def test_the_order_and_the_spelling_are_part_of_the_names():
    by_names = ByNames(lambda names: names)

    for names in ((b"A", b"B"), (b"B", b"A"), (b"a", b"B"), ()):
        assert by_names[names] == names


def test_names_that_somebody_makes_up_do_not_fill_the_memory():
    by_names = ByNames(len)

    assert by_names[b"x" * 5000,] == 1
    assert len(by_names) == 0
    for number in range(_REMEMBERED + 1):
        assert by_names[b"%d" % number,] == 1
    assert len(by_names) == 1
