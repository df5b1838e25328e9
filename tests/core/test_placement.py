"""A click is in its visitor's partition, or it is told to be elsewhere."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadClickError
from core.window.clicks import Click, encode_click
from core.window.placement import find_misplaced, is_misplaced, murmur2, partition_of, without
from core.window.sessions import WindowRules
from core.window.step import PartitionState, Record, advance_run, parse_run


@given(st.binary(max_size=40))
def test_the_hash_is_kafka_s(data):
    """The same 32 bits as the client's, for any bytes of any length."""
    assert murmur2(data) == murmur2_of_aiokafka(data) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"abc", 479470107),
        (b"a-little-bit-long-string", -985981536),
    ],
)
def test_the_hash_of_known_texts(data, signed):
    """Values that Apache Kafka's own tests have, as signed numbers."""
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(visitor=st.text(min_size=1), partition=st.integers(0, 7), moved=st.none() | st.just("3-4"))
def test_a_click_keyed_by_its_visitor_is_in_place_wherever_it_is(visitor, partition, moved):
    """Its producer may have any partitioner; and what was moved once is not moved again."""
    assert not is_misplaced(Record(0, 0, visitor.encode(), b"", moved), visitor, partition, 8)
    assert not is_misplaced(Record(0, 0, None, b"", "3-4"), visitor, partition, 8)


@given(visitor=st.text(min_size=1), key=st.none() | st.binary(max_size=3), partitions=st.integers(1, 9))
def test_a_click_of_another_key_is_in_place_in_one_partition(visitor, key, partitions):
    """That of Kafka's default partitioner, which is one of those that there are."""
    record = Record(0, 0, key, b"")
    if key != visitor.encode():
        places = [p for p in range(partitions) if not is_misplaced(record, visitor, p, partitions)]
        assert places == [partition_of(visitor, partitions)]


def test_a_misplaced_click_is_not_applied_and_the_others_are():
    """Refused ones are dead letters that say where they belong, in the order of the log, and only once."""
    clicks = [Click(f"v{n}", "i", 1000 + n) for n in range(20)]
    records = [Record(at, 1000, None, encode_click(click)) for at, click in enumerate(clicks)]
    run = parse_run(records, 1000)
    misplaced = find_misplaced(run, 1, 4)
    assert misplaced == {at for at, click in enumerate(clicks) if partition_of(click.visitor, 4) != 1}
    placed = without(run, misplaced, 4)
    result = advance_run(1, placed, PartitionState(), {}, WindowRules())
    assert {letter.record.offset for letter in result.dead} == misplaced
    assert {letter.reason for letter in result.dead} == {"misplaced"}
    assert [query.offset for query in result.queries] == sorted(set(range(20)) - misplaced)
    assert result.visitors.keys() == {f"v{query.offset}" for query in result.queries}
    assert all(isinstance(placed[at].click, BadClickError) for at in misplaced)
    assert advance_run(1, placed, result.partition, result.visitors, WindowRules()).dead == []


def test_a_click_that_was_copied_twice_is_one_click():
    """Copies of one record have its place for an id, where the click has none of its own; others differ."""
    value = encode_click(Click("a", "i", 1000))
    own = encode_click(Click("a", "j", 1001, "mine"))
    log = [
        Record(0, 1000, b"a", value, "3-7"),
        Record(1, 1000, b"a", value, "3-7"),
        Record(2, 1000, b"a", value, "3-8"),
        Record(3, 1000, b"a", own, "3-9"),
        Record(4, 1000, b"a", own),
    ]
    result = advance_run(0, parse_run(log, 1000), PartitionState(), {}, WindowRules())
    assert [query.outcome for query in result.queries] == [
        "opened", "duplicate", "joined", "joined", "duplicate",
    ]  # fmt: skip
    assert result.visitors["a"].session.items == ("i", "i", "j")
