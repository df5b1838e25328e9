"""The dead-letters topic, read back: what is there and why, and its clicks sent once more.

A letter is the record as it came; why and from where is in headers. Sent again, a click has the header
``nextclick-replayed`` with its first place in the clicks topic: a click without an id gets one by it, so that
one that is sent twice counts once in a session, and a letter that comes back says that it was sent again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import msgspec

from core.errors import BadClickError, SettingsError, TopicError
from core.identity import visitor_key
from core.window.clicks import parse_click
from core.window.forgetting import Forgotten
from core.window.placement import partition_of_key
from stream_app.index.feed import entries_of
from stream_app.kafka.client import describe_topics
from stream_app.kafka.outbox import Outbox, OutRecord
from stream_app.kafka.partition_log import PartitionLog
from stream_app.kafka.placement import REPLAYED
from stream_app.settings import Settings

#: A letter of this reason would get it again: the watermark is past it.
LATE: Final = "late"

#: Is told what is read, how many records of it have been, and how many there are.
OnProgress = Callable[[str, int, int], None]


class Letter(msgspec.Struct, frozen=True):
    """A dead letter.

    Args:
        offset: in the dead-letters topic.
        time_ms: when it was appended there, milliseconds since 1970.
        reason: the label that it was counted by.
        error: what was wrong, for a person.
        topic: that it came from.
        partition: that it came from.
        from_offset: that it had there.
        replayed_from: first place of a record that had been sent again, ``partition-offset``; empty: it had
            not.
        key: as it came.
        value: as it came.
    """

    offset: int
    time_ms: int
    reason: str
    error: str
    topic: str
    partition: int
    from_offset: int
    replayed_from: str
    key: bytes | None
    value: bytes | None

    @property
    def place(self) -> str:
        """The first place of the record in the clicks topic."""
        return self.replayed_from or f"{self.partition}-{self.from_offset}"


class Wanted(msgspec.Struct, frozen=True):
    """Which letters.

    Args:
        reasons: of one of these; empty: of any.
        since_ms: appended then or later, milliseconds since 1970.
        until_ms: appended before; None: whenever.
        begin: offset of the first that is looked at.
        end: offset behind the last; None: the topic's end at this moment.
    """

    reasons: frozenset[str] = frozenset()
    since_ms: int = 0
    until_ms: int | None = None
    begin: int = 0
    end: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter between ``begin`` and ``end`` is one of them."""
        in_time = letter.time_ms >= self.since_ms and (
            self.until_ms is None or letter.time_ms < self.until_ms
        )
        return in_time and (not self.reasons or letter.reason in self.reasons)


class Listed(msgspec.Struct, frozen=True):
    """The letters that are wanted.

    Args:
        begin: offset from which the topic was read.
        end: offset up to which it was.
        by_reason: how many there are of each reason.
        letters: the newest of them, oldest first.
    """

    begin: int
    end: int
    by_reason: dict[str, int]
    letters: tuple[Letter, ...]


class Replayed(msgspec.Struct, frozen=True):
    """What was sent again, or would be.

    Args:
        begin: offset from which the topic was read.
        end: offset up to which it was; a next time can begin there.
        sent: how many letters of each reason were sent.
        left_out: how many were not, by why: ``late``, ``replayed before``, ``twice there``, ``forgotten``.
    """

    begin: int
    end: int
    sent: dict[str, int]
    left_out: dict[str, int]


async def list_letters(
    settings: Settings, wanted: Wanted, limit: int, on_progress: OnProgress = lambda *_: None
) -> Listed:
    """Count letters by reason, and give the newest.

    Raises:
        TopicError: there is no such topic.
        BrokerError: no broker answers.
    """
    await _existing(settings, settings.dead_letters_topic)
    by_reason, newest = Counter[str](), deque[Letter](maxlen=limit)
    async with PartitionLog.opened(settings, settings.dead_letters_topic, 0) as log:
        begin, end = await _bounds(log, wanted)
        async for letters in _read(log, begin, end, wanted, settings, on_progress):
            by_reason.update(letter.reason for letter in letters)
            newest.extend(letters)
    return Listed(begin, end, dict(by_reason.most_common()), tuple(newest))


async def letter_at(settings: Settings, offset: int) -> Letter:
    """The letter at an offset of the dead-letters topic.

    Raises:
        TopicError: there is no such topic, or no letter at the offset.
        BrokerError: no broker answers.
    """
    await _existing(settings, settings.dead_letters_topic)
    async with PartitionLog.opened(settings, settings.dead_letters_topic, 0) as log:
        begin, end = await log.bounds()
        record = await log.record_at(offset) if begin <= offset < end else None
    if record is None:
        raise TopicError(
            f"no letter at offset {offset}: {settings.dead_letters_topic} has the offsets {begin} to "
            f"{end - 1}"
        )
    return letter_of(record)


async def replay_letters(
    settings: Settings,
    wanted: Wanted,
    *,
    late: bool = False,
    again: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress = lambda *_: None,
) -> Replayed:
    """Send letters to the clicks topic once more, key and value as they came, where they came from.

    Args:
        settings: the topics.
        wanted: which.
        late: late ones, too, though they would be late again.
        again: also those that were sent again before, and came back.
        dry_run: send nothing.
        on_progress: is told how far it is.

    Raises:
        TopicError: a topic is missing.
        BrokerError: no broker answers.
    """
    partitions = await _existing(settings, settings.clicks_topic)
    await _existing(settings, settings.dead_letters_topic)
    forgotten = await _forgotten(settings, on_progress)
    came_back = set[str]()
    sent, left_out, places = Counter[str](), Counter[str](), set[str]()
    outbox = await Outbox.open(settings)
    try:
        async with PartitionLog.opened(settings, settings.dead_letters_topic, 0) as log:
            begin, end = await _bounds(log, wanted)
            if not again:
                async for letters in _read(log, *await log.bounds(), Wanted(), settings, on_progress):
                    came_back |= {letter.place for letter in letters if letter.replayed_from}
            async for letters in _read(log, begin, end, wanted, settings, on_progress):
                chosen = []
                for letter in letters:
                    if letter.place in came_back:
                        left_out["replayed before"] += 1
                    elif why := _left_out(letter, places, forgotten, late=late):
                        left_out[why] += 1
                    else:
                        places.add(letter.place)
                        chosen.append(letter)
                if not dry_run:
                    await _send(settings, outbox, partitions, chosen)
                sent.update(letter.reason for letter in chosen)
    finally:
        await outbox.close()
    return Replayed(begin, end, dict(sent.most_common()), dict(left_out.most_common()))


def letter_of(record: Any) -> Letter:
    """A record of the dead-letters topic; what it does not say is empty, or -1."""
    said = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers or ()}
    return Letter(
        record.offset,
        record.timestamp,
        said.get("reason", ""),
        said.get("error", ""),
        said.get("topic", ""),
        _number(said.get("partition", "")),
        _number(said.get("offset", "")),
        said.get("replayed", ""),
        record.key,
        record.value,
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1


def _left_out(letter: Letter, places: set[str], forgotten: dict[tuple[int, int], int], *, late: bool) -> str:
    if letter.reason == LATE and not late:
        return LATE
    if letter.place in places:
        return "twice there"
    partition, _, offset = letter.place.partition("-")
    for visitor in _visitors(letter):
        if _number(offset) < forgotten.get((visitor_key(visitor), _number(partition)), -1):
            return "forgotten"
    return ""


def _visitors(letter: Letter) -> set[str]:
    """Whose the letter is, by its key and by its value."""
    found = {letter.key.decode("utf-8", "replace")} if letter.key else set()
    try:
        return found | {parse_click(letter.value, len(letter.value or b"")).visitor}
    except BadClickError:
        return found


async def _send(settings: Settings, outbox: Outbox, partitions: int, letters: list[Letter]) -> None:
    by_partition: dict[int, list[OutRecord]] = {}
    for letter in letters:
        # Where it came from: its visitor's other clicks are there, whatever partitioner their producer has.
        partition = letter.partition
        if letter.topic != settings.clicks_topic or not 0 <= partition < partitions:
            partition = partition_of_key(letter.key or b"", partitions)
        origin = [(REPLAYED, letter.place.encode())]
        by_partition.setdefault(partition, []).append(OutRecord(letter.key, letter.value, origin))
    for partition, records in by_partition.items():
        await outbox.write(settings.clicks_topic, partition, records)


async def _forgotten(settings: Settings, on_progress: OnProgress) -> dict[tuple[int, int], int]:
    """By visitor's hash and partition, the offset of the newest request to forget that was obeyed."""
    found: dict[tuple[int, int], int] = {}
    topic = settings.sessions_topic
    await _existing(settings, topic)
    async with PartitionLog.opened(settings, topic, 0) as log:
        begin, end = await log.bounds()
        async for records in log.read(begin, end):
            for entry in entries_of(r for r in records if b'"forget"' in (r.value or b"")):
                if isinstance(entry, Forgotten):
                    found[entry.key, entry.partition] = entry.before
            on_progress(topic, records[-1].offset + 1 - begin, end - begin)
    return found


async def _bounds(log: PartitionLog, wanted: Wanted) -> tuple[int, int]:
    begin, end = await log.bounds()
    first = max(begin, wanted.begin)
    last = end if wanted.end is None else min(end, wanted.end)
    if wanted.end is not None and wanted.end < wanted.begin:
        raise SettingsError(f"--to {wanted.end} is before --from {wanted.begin}")
    return first, max(first, last)


async def _read(
    log: PartitionLog, begin: int, end: int, wanted: Wanted, settings: Settings, on_progress: OnProgress
) -> AsyncIterator[list[Letter]]:
    """The wanted letters between two offsets, some at a time."""
    if begin >= end:
        return
    async for records in log.read(begin, end):
        yield [letter for letter in map(letter_of, records) if wanted.takes(letter)]
        on_progress(settings.dead_letters_topic, records[-1].offset + 1 - begin, end - begin)


async def _existing(settings: Settings, topic: str) -> int:
    """The partitions of a topic that must be there."""
    shape = (await describe_topics(settings, [topic]))[topic]
    if shape is None:
        raise TopicError(f"no topic {topic}; are these the settings of the workers?")
    return shape.partitions
