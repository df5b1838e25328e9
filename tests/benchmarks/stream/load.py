"""What the stream's benchmark sends: sessions to learn beforehand, and clicks of many visitors at once.

Real sessions of diginetica where they are present, else generated ones of nearly the same sizes. Event time
begins at :data:`BEGIN_S`; one session begins every :data:`SECONDS_A_SESSION` and clicks every
:data:`SECONDS_A_CLICK`, so that visitors are interleaved and most sessions close while the load lasts.
"""

from __future__ import annotations

import asyncio
from itertools import count, islice
from typing import Final, NamedTuple

import msgspec
from aiokafka.partitioner import DefaultPartitioner

from core.window.clicks import Click, encode_click
from core.window.sessions import ClosedSession
from stream_app.kafka.outbox import Outbox, OutRecord
from tests.benchmarks import datasets
from tests.benchmarks.synthetic import FRESH, Synthetic

BEGIN_S: Final = 1_700_000_000.0
SECONDS_A_SESSION: Final = 0.1
SECONDS_A_CLICK: Final = 20.0

#: Seconds between the ends of two sessions that are learnt beforehand: diginetica has 187,000 in five months.
SECONDS_A_LEARNT: Final = 60.0

#: Sizes of diginetica's training part, for the generated stand-in.
LEARNT, ITEMS = 186_670, 43_097

#: Partition in the ids of the sessions that are learnt beforehand: one that the input does not have.
LEARNT_PARTITION: Final = 9999


class Load(NamedTuple):
    """Sessions as tuples of items.

    Args:
        source: where they are from, for people.
        learnt: are in the index before the first click; oldest first.
        asked: are clicked; others than the learnt.
    """

    source: str
    learnt: list[tuple[str, ...]]
    asked: list[tuple[str, ...]]


def read_load(folder, most_learnt=None) -> Load:
    """The real sessions in a data folder, else generated ones; the newest ``most_learnt`` are learnt."""
    if datasets.missing("diginetica", folder):
        stream = Synthetic(ITEMS)
        learnt = list(islice(_items(stream, count()), LEARNT))
        asked = list(islice(_items(stream, [FRESH]), 16_000))
        source = f"generated sessions over {ITEMS:,} items"
    else:
        train, _ = datasets.read("diginetica", folder)
        learnt = [items for items, _ in train]
        asked = datasets.test_sessions("diginetica", folder)
        source = "diginetica's sessions"
    return Load(source, learnt[-most_learnt:] if most_learnt else learnt, asked)


def _items(stream, blocks):
    for number in blocks:
        items, starts, _ = stream.block(number)
        names = list(map(str, items.tolist()))
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            yield tuple(names[start:end])


def clicks_of(load, number, seconds_a_session=SECONDS_A_SESSION) -> list[Click]:
    """So many clicks in the order of time; sessions that are used up come again as other visitors.

    A greater ``seconds_a_session`` lets fewer clicks go by until the first sessions close.
    """
    clicks, visitor = [], 0
    # A session's last clicks are later than the first ones of the next: more are made than are taken.
    while len(clicks) < number + 2000:
        items = load.asked[visitor % len(load.asked)]
        begin = BEGIN_S + visitor * seconds_a_session
        clicks += [
            Click(f"visitor-{visitor}", item, round((begin + place * SECONDS_A_CLICK) * 1000))
            for place, item in enumerate(items)
        ]
        visitor += 1
    clicks.sort(key=lambda click: click.time_ms)
    return clicks[:number]


def learnt_records(load):
    """The records of the sessions topic that hold what is learnt beforehand."""
    for number, items in enumerate(load.learnt):
        end_s = BEGIN_S - (len(load.learnt) - number) * SECONDS_A_LEARNT
        times = tuple(round((end_s - after * SECONDS_A_CLICK) * 1000) for after in range(len(items)))[::-1]
        session = ClosedSession(
            session=f"{LEARNT_PARTITION}-{number}",
            visitor=f"learnt-{number}",
            items=items,
            times=times,
            start=times[0],
            end=times[-1],
            cause="watermark",
            clicks=len(items),
        )
        yield OutRecord(session.session.encode(), msgspec.json.encode(session))


def wire(clicks, partitions) -> list[tuple[int, bytes, bytes]]:
    """Partition, key and value of each click, as any producer would place them."""
    place, spread = DefaultPartitioner(), list(range(partitions))
    keys = [click.visitor.encode() for click in clicks]
    return [
        (place(key, spread, spread), key, encode_click(click))
        for key, click in zip(keys, clicks, strict=True)
    ]


def fill(settings, load, clicks):
    """Write what is learnt beforehand to the sessions topic and the clicks to the input topic, and wait."""
    asyncio.run(_fill(settings, learnt_records(load), clicks))


def fill_clicks(settings, clicks):
    """Write clicks to the input topic and wait."""
    asyncio.run(_fill(settings, (), clicks))


async def _fill(settings, learnt, clicks):
    by_partition = {partition: [] for partition in range(settings.partitions)}
    for partition, key, value in wire(clicks, settings.partitions):
        by_partition[partition].append(OutRecord(key, value))
    outbox = await Outbox.open(settings)
    try:
        await outbox.write(settings.sessions_topic, 0, learnt)
        for partition, records in by_partition.items():
            await outbox.write(settings.clicks_topic, partition, records)
    finally:
        await outbox.close()
