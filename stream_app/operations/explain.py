"""One answer computed anew from the topics alone, beside the one that was given.

What an answer depends on is on the topics: the visitor's session is a function of its partition's log up to
the click, the index one of the sessions topic up to the answer's ``index_offset``, and the parameters are
those of the settings, by name. The one thing that the clicks' log does not say is which sessions the clock
has closed (cause ``idle``); those are on the sessions topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from core.answers import Answer, decode_answer, encode_answer
from core.errors import BadClickError, ExplainError, TopicError
from core.identity import visitor_key
from core.index import SessionIndex
from core.scoring import Recommended, Scorer
from core.window.clicks import Click, Forget
from core.window.following import Follower
from core.window.forgetting import Forgotten
from core.window.placement import find_misplaced, without
from core.window.sessions import ClosedSession
from core.window.step import DeadLetter, Parsed, Query, parse_run
from stream_app.index.feed import entries_of
from stream_app.kafka.client import describe_topics
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.placement import record_of
from stream_app.kafka.retention import is_compacted
from stream_app.settings import Settings

#: Is told what is read, how many records of it have been, and how many there are.
OnProgress = Callable[[str, int, int], None]

_CLIENT: Final = "nextclick-explain"


class Compared(msgspec.Struct, frozen=True):
    """An answer that was given, and the same computed anew.

    Args:
        offset: of the answer's record, in the click's partition of the recommendations topic.
        given: the answer on the topic.
        again: the answer that comes out now.
        differences: a sentence for each field and each item that differs; empty where all is the same.
    """

    offset: int
    given: Answer
    again: Answer
    differences: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True):
    """What became of a click and why.

    Args:
        partition: of the click.
        offset: of the click.
        visitor: whose click.
        item: the clicked item.
        time_ms: when, by the sender's clock.
        outcome: what it was to the session: ``opened``, ``joined``, ``duplicate`` or ``overlong``.
        session: id of the session.
        items: the session's items as of the click, in the order of time.
        answers: each answer that was given, in the order in which they were.
        erased: at most so many records of the sessions topic that an index had taken in are gone from it
            since, transactions' markers counted; an answer may then come out otherwise. 0 without compaction.
    """

    partition: int
    offset: int
    visitor: str
    item: str
    time_ms: int
    outcome: str
    session: str
    items: tuple[str, ...]
    answers: tuple[Compared, ...]
    erased: int

    @property
    def same(self) -> bool:
        """Whether every answer comes out as it was given, bit for bit."""
        return not any(compared.differences for compared in self.answers)


async def explain(
    settings: Settings, partition: int, offset: int, on_progress: OnProgress = lambda *_: None
) -> Explanation:
    """Compute the answer to a click anew.

    Args:
        settings: of the worker that answered.
        partition: of the click, in the clicks topic.
        offset: of the click.
        on_progress: is told how far the reading is.

    Raises:
        ExplainError: there is no such click, it is a dead letter, it has no answer yet, its visitor was
            forgotten, a topic does not reach back far enough, or the settings' parameters are not those that
            the answer names.
        TopicError: a topic is missing, or is not handed out by its broker.
        BrokerError: no broker answers.
    """
    partitions, compacted = await _topics(settings, partition)
    click = await _click(settings, partition, offset, partitions)
    given = await _given(settings, partition, offset, on_progress)
    indexes = {one.index_offset: SessionIndex(settings.index_sessions) for _, one in given}
    closed_idle, missing = await _read_sessions(
        settings, partition, offset, click.visitor, indexes, on_progress
    )
    followers = [Follower(partition, click.visitor, settings.window_rules(), closed_idle)]
    if closed_idle:
        # A worker that dies between a closing's record and its own state goes on with the session open.
        followers.append(Follower(partition, click.visitor, settings.window_rules(), ()))
    began = min((_opened_at(one.session) for _, one in given), default=offset)
    await _follow(settings, partition, offset, partitions, followers, began, on_progress)
    queries = [_query(partition, offset, follower) for follower in followers]
    if not given:
        raise ExplainError(
            f"the click at partition {partition}, offset {offset} has no answer yet in "
            f"{settings.recommendations_topic}: is a worker running, and has it come so far? "
            "The metric nextclick_consumer_lag says so"
        )
    compared = [_compare(settings, partition, queries, indexes, place, one) for place, one in given]
    query = _fitting(queries, given[-1][1])
    return Explanation(
        partition,
        offset,
        query.visitor,
        query.item,
        query.time_ms,
        query.outcome,
        query.session,
        query.items,
        tuple(compared),
        missing if compacted else 0,
    )


async def _topics(settings: Settings, partition: int) -> tuple[int, bool]:
    """See that all topics are there: the clicks' partitions, and whether the sessions may be compacted."""
    names = [settings.clicks_topic, settings.recommendations_topic, settings.sessions_topic]
    shapes = await describe_topics(settings, names)
    if missing := [name for name, shape in shapes.items() if shape is None]:
        raise TopicError(f"no topic {', '.join(missing)}; are these the settings of the worker?")
    partitions = next(shape.partitions for name, shape in shapes.items() if shape and name == names[0])
    if not 0 <= partition < partitions:
        raise ExplainError(
            f"{settings.clicks_topic} has the partitions 0 to {partitions - 1}, asked for {partition}"
        )
    sessions = shapes[settings.sessions_topic]
    return partitions, sessions is None or sessions.configs is None or is_compacted(sessions.configs)


async def _click(settings: Settings, partition: int, offset: int, partitions: int) -> Click:
    async with PartitionLog.opened(settings, settings.clicks_topic, partition, _CLIENT) as log:
        begin, end = await log.bounds()
        record = await log.record_at(offset) if begin <= offset < end else None
    where = f"{settings.clicks_topic} partition {partition}"
    if record is None:
        gone = "; retention has removed what was before" if 0 <= offset < begin else ""
        raise ExplainError(f"no click at offset {offset}: {where} has the offsets {begin} to {end - 1}{gone}")
    ((_, click),) = _parsed(settings, [record], partition, partitions)
    if isinstance(click, BadClickError):
        raise _dead(partition, offset, click.reason, click.detail)
    if isinstance(click, Forget):
        raise ExplainError(
            f"the record at partition {partition}, offset {offset} asks to forget a visitor and has no answer"
        )
    return click


async def _given(
    settings: Settings, partition: int, offset: int, on_progress: OnProgress
) -> list[tuple[int, Answer]]:
    """Each answer to the click with the offset of its record."""
    found = []
    place = b'"click":' + msgspec.json.encode({"partition": partition, "offset": offset})
    topic = settings.recommendations_topic
    async with PartitionLog.opened(settings, topic, partition, _CLIENT) as log:
        begin, end = await log.bounds()
        async for records in log.read(begin, end):
            found += [(r.offset, decode_answer(r.value)) for r in records if place in (r.value or b"")]
            on_progress(topic, records[-1].offset + 1 - begin, end - begin)
    name = settings.scoring_parameters().name
    for _, one in found:
        if one.parameters != name:
            raise ExplainError(
                f"the answer was computed with the parameters {one.parameters!r}, the settings here have "
                f"{name!r}: give the worker's settings, by --config, --params or NEXTCLICK_… variables"
            )
    return found


async def _read_sessions(
    settings: Settings,
    partition: int,
    offset: int,
    visitor: str,
    indexes: dict[int, SessionIndex],
    on_progress: OnProgress,
) -> tuple[list[ClosedSession], int]:
    """Feed each index up to its offset, and find the visitor's sessions that the clock has closed.

    Returns:
        These sessions; and how many offsets below those of the indexes have no record.
    """
    idle: list[ClosedSession] = []
    key, there = f"{visitor_key(visitor):016x}", 0
    topic = settings.sessions_topic
    async with PartitionLog.opened(settings, topic, 0, _CLIENT) as log:
        begin, end = await log.bounds()
        if begin and indexes:
            raise ExplainError(
                f"{topic} no longer reaches back to its first session: it begins at offset {begin}. The "
                "index cannot be made as it was; give the topic retention.ms=-1 and retention.bytes=-1"
            )
        if indexes and max(indexes) > end:
            raise ExplainError(
                f"the answer was computed with {max(indexes)} records of {topic}, which has {end}: "
                "the topic was made anew, or the settings name another one than the worker's"
            )
        async for records in log.read(begin, end):
            for upto, index in indexes.items():
                index.take(entries_of(record for record in records if record.offset < upto))
            there += sum(bool(record.value) and record.offset < max(indexes, default=0) for record in records)
            suspects = (
                r for r in records if b'"idle"' in (r.value or b"") or key.encode() in (r.value or b"")
            )
            for entry in entries_of(suspects):
                if isinstance(entry, ClosedSession):
                    if entry.cause == "idle" and entry.visitor == visitor:
                        idle.append(entry)
                elif (entry.forget, entry.partition) == (key, partition) and entry.before > offset:
                    raise _was_forgotten(partition, offset, entry)
            on_progress(topic, records[-1].offset + 1 - begin, end - begin)
    return idle, max(indexes, default=0) - there


async def _follow(
    settings: Settings,
    partition: int,
    offset: int,
    partitions: int,
    followers: Sequence[Follower],
    began: int,
    on_progress: OnProgress,
) -> None:
    topic = settings.clicks_topic
    async with PartitionLog.opened(settings, topic, partition, _CLIENT) as log:
        begin, _ = await log.bounds()
        if began < begin:
            raise ExplainError(
                f"{topic} partition {partition} begins at offset {begin}, and the session of the click began "
                f"at {began}: retention has removed it"
            )
        async for records in log.read(begin, offset + 1):
            parsed = _parsed(settings, records, partition, partitions)
            for follower in followers:
                follower.take(parsed)
            on_progress(topic, records[-1].offset + 1 - begin, offset + 1 - begin)


def _parsed(settings: Settings, records: Iterable[Any], partition: int, partitions: int) -> list[Parsed]:
    """Records as the worker reads them."""
    run = parse_run(map(record_of, records), settings.max_value_bytes)
    if settings.unkeyed == "accept":
        return run
    return without(run, find_misplaced(run, partition, partitions), partitions)


def _compare(
    settings: Settings,
    partition: int,
    queries: Sequence[Query],
    indexes: dict[int, SessionIndex],
    place: int,
    given: Answer,
) -> Compared:
    scorer = Scorer(indexes[given.index_offset], settings.scoring_parameters())
    query = _fitting(queries, given)
    (items,) = scorer.written(scorer.rank(scorer.numbered([(query.items, query.time_ms / 1000)])))
    again = decode_answer(encode_answer(query, partition, items, given.index_offset, scorer.parameters.name))
    return Compared(place, given, again, tuple(_differences(given, again)))


def _fitting(queries: Sequence[Query], given: Answer) -> Query:
    """The query that has the answer's session, or the first."""
    for query in queries:
        if (query.session, len(query.items)) == (given.session, given.position):
            return query
    return queries[0]


def _differences(given: Answer, again: Answer) -> Iterator[str]:
    for name in ("visitor", "item", "session", "position"):
        if getattr(given, name) != getattr(again, name):
            yield f"{name} was {getattr(given, name)!r}, now {getattr(again, name)!r}"
    for rank in range(max(len(given.items), len(again.items))):
        was = given.items[rank] if rank < len(given.items) else None
        now = again.items[rank] if rank < len(again.items) else None
        if was != now:
            yield f"item {rank + 1} was {_said(was)}, now {_said(now)}"


def _said(one: Recommended | None) -> str:
    return msgspec.json.encode(one).decode() if one else "none"


def _query(partition: int, offset: int, follower: Follower) -> Query:
    last = follower.last
    if isinstance(last, DeadLetter):
        raise _dead(partition, offset, last.reason, last.detail)
    if last is None or last.offset != offset:
        raise ExplainError(
            f"the log of partition {partition} was read up to offset {offset}, and has no click"
        )
    return last


def _opened_at(session: str) -> int:
    """The offset of the click that opened a session."""
    return int(session.partition("-")[2])


def _was_forgotten(partition: int, offset: int, request: Forgotten) -> ExplainError:
    return ExplainError(
        f"the visitor of the click at partition {partition}, offset {offset} was forgotten: the request is "
        f"at offset {request.before}. What is left of the session on the topics is not shown"
    )


def _dead(partition: int, offset: int, reason: str, detail: str) -> ExplainError:
    return ExplainError(
        f"the record at partition {partition}, offset {offset} is a dead letter and has no answer: "
        f"{reason}: {detail}"
    )
