"""The door to Kafka: producers, readers and topic administration by aiokafka.

Two habits of aiokafka are mended here. It retries in silence for up to 40 s, so every first contact is
bounded by :data:`CONTACT_S`; and it reports an unreachable broker in many classes, so all of them become
one :class:`core.errors.BrokerError` that says what to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownError,
    for_code,
)

from core.errors import AccessError, BrokerError, TopicError
from stream_app.kafka.diagnosis import why_not
from stream_app.kafka.security import client_options
from stream_app.kafka.sequences import count_as_brokers_do
from stream_app.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds that a first contact with the brokers may take.
CONTACT_S = 10.0

#: Bytes of the largest record that is sent, and of the largest fetch from one partition.
MAX_REQUEST_BYTES = 9 * 1024 * 1024

#: Milliseconds that a broker may hold a reader's fetch until there are records. A partition that is not in
#: the fetch under way waits for its end, and the embedded broker looks for records only now and then in it.
FETCH_WAIT_MS = 50

#: Isolation of all readers: they see of a transaction what it committed, once it has.
COMMITTED = "read_committed"

# Every failure below reaches the caller as an exception; without a handler of its own, Python would also
# print aiokafka's log lines on stderr in front of the one sentence that the command line shows.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class TopicShape:
    """How a topic is, or is wanted.

    Args:
        partitions: their number.
        replication: copies of each partition.
        configs: settings of the topic by Kafka's names. Of a wanted topic: those that matter here. Of an
            existing one: all of them, or None when the broker does not tell.
    """

    partitions: int
    replication: int = 1
    configs: Mapping[str, str] | None = field(default_factory=dict)


def new_producer(
    settings: Settings,
    *,
    client_id: str = "nextclick",
    idempotent: bool = True,
    linger_ms: int = 0,
    max_batch_bytes: int = 1_000_000,
    compression: str | None = None,
    transactional_id: str | None = None,
    transaction_timeout_s: float = 60.0,
) -> AIOKafkaProducer:
    """A producer that is not started yet; a record counts as sent when all in-sync replicas have it.

    The partition of a key is Kafka's default (murmur2), so any producer agrees with this one.

    Args:
        settings: the brokers.
        client_id: the name in the brokers' logs and metrics.
        idempotent: retries neither double nor reorder records.
        linger_ms: milliseconds to wait for more records of a batch.
        max_batch_bytes: bytes of a batch; must be below the topic's ``max.message.bytes``.
        compression: ``gzip``, ``snappy``, ``lz4`` or ``zstd``.
        transactional_id: for one that writes in transactions only (``transactions.py``).
        transaction_timeout_s: after so long the brokers abort a transaction that goes on.
    """
    producer = AIOKafkaProducer(
        client_id=client_id,
        acks="all",
        enable_idempotence=idempotent,
        linger_ms=linger_ms,
        max_batch_size=max_batch_bytes,
        max_request_size=MAX_REQUEST_BYTES,
        compression_type=compression,
        transactional_id=transactional_id,
        transaction_timeout_ms=round(transaction_timeout_s * 1000),
        **client_options(settings),
    )
    count_as_brokers_do(producer)
    return producer


async def open_producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """A started producer: idempotent where the broker can do that, else not.

    The embedded broker of the demo answers InitProducerId with an unknown error; Apache Kafka never does.

    Args:
        settings: the brokers.
        options: those of :func:`new_producer`.

    Raises:
        BrokerError: no broker answers.
    """
    producer = new_producer(settings, **options)
    try:
        await start(producer, settings)
    except BrokerError as error:
        if not isinstance(error.__cause__, UnknownError):
            raise
        logger.warning("the broker has no idempotent producers: a retry may write a record twice")
        producer = new_producer(settings, **{**options, "idempotent": False})
        await start(producer, settings)
    return producer


def new_log_reader(
    settings: Settings, topic: str, partition: int, *, client_id: str = "nextclick"
) -> AIOKafkaConsumer:
    """A reader of one partition from its beginning, without a group; not started yet."""
    reader = _new_reader(settings, client_id)
    reader.assign([TopicPartition(topic, partition)])
    return reader


async def new_topic_reader(
    settings: Settings, topic: str, *, from_beginning: bool, client_id: str = "nextclick"
) -> AIOKafkaConsumer:
    """A started reader of all partitions of a topic, without a group.

    Args:
        settings: the brokers.
        topic: its name.
        from_beginning: read from the oldest record; else only what is appended after this returns.
        client_id: the name in the brokers' logs and metrics.

    Raises:
        TopicError: no such topic.
        BrokerError: no broker answers.
    """
    shape = (await describe_topics(settings, [topic]))[topic]
    if shape is None:
        raise TopicError(f"topic {topic!r} does not exist; make it with `nextclick topics create`")
    reader = _new_reader(settings, client_id)
    reader.assign([TopicPartition(topic, partition) for partition in range(shape.partitions)])
    await start(reader, settings)
    if not from_beginning:
        try:
            ends = await end_offsets(reader, settings, topic)
        except BaseException:
            await reader.stop()
            raise
        # Resolved now, not at the first fetch: a record that is sent right after this call is read.
        for partition, offset in ends.items():
            reader.seek(TopicPartition(topic, partition), offset)
    return reader


def _new_reader(settings: Settings, client_id: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        client_id=client_id,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level=COMMITTED,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=MAX_REQUEST_BYTES,
        **client_options(settings),
    )


async def start(client: AIOKafkaConsumer | AIOKafkaProducer, settings: Settings) -> None:
    """Start a client within :data:`CONTACT_S`; it is stopped when that fails.

    Raises:
        BrokerError: no broker answers.
    """
    try:
        async with first_contact(settings):
            await client.start()
    except BaseException:
        await client.stop()
        raise


async def end_offsets(reader: AIOKafkaConsumer, settings: Settings, topic: str) -> dict[int, int]:
    """The offset after the last record of each partition of ``topic`` that the reader is assigned.

    The demo's embedded broker tells one too small where its last batch holds several records, never one
    too large: it is fit to wait for, on every broker, but the position after it is exact on Kafka only.

    Raises:
        BrokerError: the broker does not answer within :data:`CONTACT_S`.
    """
    assigned = [part for part in reader.assignment() if part.topic == topic]
    with broker_errors(settings):
        async with asyncio.timeout(CONTACT_S):
            offsets = await reader.end_offsets(assigned)
    return {part.partition: offset for part, offset in offsets.items()}


async def describe_topics(settings: Settings, names: list[str]) -> dict[str, TopicShape | None]:
    """Ask how topics are; None for one that does not exist.

    All topics are asked for and filtered here: asking for one by name can create it on a broker that
    creates topics automatically.

    Raises:
        BrokerError: no broker answers.
    """
    async with _admin(settings) as admin:
        return await _describe(admin, names)


async def create_topics(settings: Settings, shapes: Mapping[str, TopicShape]) -> list[str]:
    """Create topics, and wait until the broker that is asked knows them.

    Returns:
        The names of those created; one that exists already is left as it is.

    Raises:
        TopicError: the broker refuses one.
        AccessError: this user may not make one.
        BrokerError: no broker answers.
    """
    async with _admin(settings) as admin:
        wanted = [
            NewTopic(name, shape.partitions, shape.replication, topic_configs=dict(shape.configs or {}))
            for name, shape in shapes.items()
        ]
        response = await admin.create_topics(wanted, timeout_ms=int(CONTACT_S * 1000))
        created = []
        for name, code, *message in response.topic_errors:
            if not code:
                created.append(name)
            elif for_code(code) is TopicAuthorizationFailedError:
                raise AccessError(
                    f"Kafka at {settings.bootstrap_servers} does not permit to make topic {name!r}; "
                    "`nextclick topics acls --role admin --principal User:…` prints what grants it"
                )
            elif for_code(code) is not TopicAlreadyExistsError:
                reason = (message[0] if message else None) or for_code(code).__name__
                raise TopicError(f"Kafka at {settings.bootstrap_servers} refuses topic {name!r}: {reason}")
        while True:  # bounded by CONTACT_S in _admin
            if None not in (await _describe(admin, created, configs=False)).values():
                return created
            await asyncio.sleep(0.05)


async def delete_before(settings: Settings, topic: str, partition: int, offset: int) -> None:
    """Delete the records of a partition before an offset.

    Raises:
        TopicError: the broker refuses.
        AccessError: this user may not.
        BrokerError: no broker answers.
    """
    place = TopicPartition(topic, partition)
    async with _admin(settings) as admin:
        try:
            await admin.delete_records({place: RecordsToDelete(before_offset=offset)})
        except TopicAuthorizationFailedError:
            raise AccessError(
                f"Kafka at {settings.bootstrap_servers} does not permit to delete records of {topic!r}; "
                "`nextclick topics acls --role trim --principal User:…` prints what grants it"
            ) from None
        except KafkaError as error:
            raise TopicError(
                f"Kafka at {settings.bootstrap_servers} refuses to delete records of topic {topic!r}: {error}"
            ) from None


async def _describe(
    admin: AIOKafkaAdminClient, names: list[str], *, configs: bool = True
) -> dict[str, TopicShape | None]:
    found = {
        topic["topic"]: topic["partitions"]
        for topic in await admin.describe_topics(None)
        if topic["topic"] in names and topic["partitions"]
    }
    known = await _describe_configs(admin, list(found)) if configs and found else {}
    return {
        name: TopicShape(len(found[name]), len(found[name][0]["replicas"]), known.get(name))
        if name in found
        else None
        for name in names
    }


async def _describe_configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """The configs of each topic; a topic whose configs the broker does not tell is left out."""
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    known = {}
    for answer in answers:
        for code, _message, _kind, name, entries in answer.resources:
            if not code and entries:
                known[name] = {entry[0]: entry[1] for entry in entries}
    return known


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(client_id="nextclick", request_timeout_ms=8000, **client_options(settings))
    try:
        async with first_contact(settings):
            await admin.start()
        with broker_errors(settings):
            async with asyncio.timeout(CONTACT_S):
                yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def first_contact(settings: Settings) -> AsyncIterator[None]:
    """Bound a first contact by :data:`CONTACT_S`, and say why it failed.

    Raises:
        BrokerError: no broker answers, or not to these settings.
    """
    try:
        with broker_errors(settings):
            async with asyncio.timeout(CONTACT_S):
                yield
    except BrokerError as error:
        if error.__cause__ is None and (said := await why_not(settings)):
            raise BrokerError(said) from None
        raise


@contextmanager
def broker_errors(settings: Settings) -> Iterator[None]:
    """Turn aiokafka's errors in this block into :class:`core.errors.BrokerError`."""
    where = settings.bootstrap_servers
    try:
        yield
    except (
        OSError,
        KafkaConnectionError,
        KafkaTimeoutError,
        NodeNotReadyError,
    ):  # TimeoutError is an OSError
        raise BrokerError(
            f"no Kafka answers at {where}; start one with `nextclick kafka` "
            "or set NEXTCLICK_BOOTSTRAP_SERVERS"
        ) from None
    except (
        TopicAuthorizationFailedError,
        GroupAuthorizationFailedError,
        ClusterAuthorizationFailedError,
        TransactionalIdAuthorizationFailed,
    ) as error:
        what = " ".join(str(error).split())
        raise AccessError(
            f"Kafka at {where} does not permit this: {what}; `nextclick topics acls --help` says which "
            "permissions each command needs"
        ) from error
    except KafkaError as error:
        raise BrokerError(f"Kafka at {where} answers with an error: {error}") from error
