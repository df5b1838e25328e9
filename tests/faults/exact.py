"""What must hold at the end of a fault: topics and tables are what the core makes of the input's log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from core.window.changelog import Entry, restore
from core.window.sessions import is_over_at
from core.window.step import PartitionState, VisitorState
from stream_app.kafka.topics import changelog_topic
from stream_app.settings import Settings
from stream_app.worker.tables import AS_OF, decode_partition, decode_visitor, visitor_of
from tests.exact_stream import check_topics
from tests.oracles.answers_again import answers_again
from tests.oracles.whole_log import Expected, rules_of
from tests.worker_process import Topics, read_topic

#: Answers that are computed again at most; the first of the log.
MOST_AGAIN = 4000


def check_exact(settings: Settings, seen: Topics, others: int = 0) -> Expected:
    """Hold sessions item by item, answers and dead letters against the core; their number, where promised.

    Args:
        settings: of the workers.
        seen: the topics.
        others: records of the sessions topic that no worker has written.

    Raises:
        AssertionError: something is missing, too much, or differs.
    """
    expected = check_topics(settings, seen)
    if settings.guarantee == "exactly_once":
        assert {len(one) for one in (*seen.answers.values(), *seen.dead.values())} == {1}
        assert len(seen.sessions) == len(expected.closed) + others
    for answers in seen.answers.values():
        # Of the same index and parameters the same recommendation.
        assert len(set(answers)) == len({(a.index_offset, a.parameters) for a in answers})
    check_answers_again(settings, seen, expected)
    return expected


def check_answers_again(settings: Settings, seen: Topics, expected: Expected) -> None:
    """Compute answers anew from the topics: the first and the last of each click are bit for bit the same."""
    places = sorted(seen.answers, key=lambda place: place[::-1])[:MOST_AGAIN]
    for which in (0, -1):
        given = {place: seen.answers[place][which] for place in places}
        asked = [(place[0], expected.queries[place], answer.index_offset) for place, answer in given.items()]
        assert answers_again(settings, seen.entries, asked) == given


def check_tables(settings: Settings, expected: Expected, seen: Topics, folders: Iterable[Path]) -> None:
    """Hold the changelog, restored, and RocksDB of whoever was last against the core.

    Args:
        settings: where the changelog is.
        expected: of the whole log.
        seen: the log.
        folders: of the workers, which are stopped.

    Raises:
        AssertionError: a state is missing, too much, or differs.
    """
    entries: dict[int, list[Entry]] = {}
    for record in read_topic(settings, changelog_topic(settings)):
        entries.setdefault(record.partition, []).append(entry_of(record))
    for partition in seen.clicks:
        restored = restore(entries[partition], PartitionState(), {})
        check_state(settings, expected, seen, partition, restored.partition, restored.visitors)
    last: set[int] = set()
    for path in [path for folder in folders for path in folder.rglob("visitors-*.db")]:
        partition = int(path.stem.rpartition("-")[2])
        state, visitors = read_rocksdb(path)
        if partition in seen.clicks and state.applied == seen.clicks[partition][-1].offset:
            check_state(settings, expected, seen, partition, state, visitors)
            last.add(partition)
    assert last == seen.clicks.keys()


def check_state(
    settings: Settings,
    expected: Expected,
    seen: Topics,
    partition: int,
    state: PartitionState,
    visitors: dict[str, VisitorState],
) -> None:
    """One partition's state: all of the log is applied, and the visitors are the open sessions'."""
    assert state.applied == seen.clicks[partition][-1].offset
    open_now = {name: held for (place, name), held in expected.states.items() if place == partition}
    # A session that is over may wait for its deletion; it would close again as it did.
    rules = rules_of(settings)
    held = {n: v for n, v in visitors.items() if not is_over_at(v.last_ms, state.watermark_ms, rules)}
    differ = {n: (held.get(n), open_now.get(n)) for n in held.keys() | open_now.keys()}
    differ = {name: both for name, both in differ.items() if both[0] != both[1]}
    assert not differ, f"visitors of partition {partition}, as held and as expected: {differ}"


def entry_of(record) -> Entry:
    """A Kafka record of the changelog."""
    as_of = next((int(value) for name, value in record.headers if name == AS_OF), None)
    return Entry(visitor_of(record.key), state_of(record.key, record.value), as_of)


def state_of(key: bytes, value: bytes | None) -> VisitorState | PartitionState | None:
    """What a value holds, by its key."""
    if value is None:
        return None
    return decode_partition(value) if visitor_of(key) is None else decode_visitor(value)


def read_rocksdb(path: Path) -> tuple[PartitionState, dict[str, VisitorState]]:
    """A partition's state on a stopped worker's disk."""
    database = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    try:
        held = {key: value for key, value in database.items() if key[:1] in {b"p", b"v"}}
    finally:
        database.close()
    state = decode_partition(held.pop(b"p")) if b"p" in held else PartitionState()
    return state, {str(visitor_of(key)): decode_visitor(value) for key, value in held.items()}
