"""The topics that nextclick needs: what they are, making them, and checking the ones that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stream_app.kafka import client
from stream_app.kafka.client import TopicShape
from stream_app.settings import Settings

MIB = 1024 * 1024

#: Bytes of the largest click that the input topic takes: larger than any that is used, so that an oversized
#: one is counted as a dead letter instead of being refused to its producer.
CLICK_BYTES = 2 * MIB

#: Bytes of the largest session, answer and state: what ``max_clicks`` clicks of the longest names take as
#: JSON at the worst (core.window.clicks.MAX_NAME_BYTES, six bytes for one that JSON escapes) is below it.
SESSION_BYTES = 8 * MIB

#: Bytes that the headers of a dead letter take at most, generously: reason, sentence, place.
HEADER_BYTES = 64 * 1024

#: A dead letter is the record as it came with headers added, so it is larger than any click.
DEAD_LETTER_BYTES = 4 * MIB


@dataclass(frozen=True)
class Problem:
    """What is wrong with a topic.

    Args:
        topic: its name.
        expected: what it should be.
        found: what it is.
        advice: what to do.
        refuses: whether a worker does not start with it; else it is a warning.
    """

    topic: str
    expected: str
    found: str
    advice: str
    refuses: bool = True


def changelog_topic(settings: Settings) -> str:
    """The name that Faust gives to the changelog of the visitor table."""
    return f"{settings.group_id}-visitors-changelog"


def transactional_id(settings: Settings, partition: int | None = None) -> str:
    """What a partition's owner is known by in transactions; without a partition, how all of these begin."""
    return f"{settings.group_id}-partition-{'' if partition is None else partition}"


def wanted_topics(settings: Settings) -> dict[str, TopicShape]:
    """Each topic by name, as `nextclick topics create` makes it on an empty broker."""
    spread, copies = settings.partitions, settings.replication_factor
    # The broker's own time: whether a click is from the future must not be judged by its producer's clock.
    append_time = {"message.timestamp.type": "LogAppendTime"}
    delete = {"cleanup.policy": "delete"}
    large = {"max.message.bytes": str(SESSION_BYTES)}
    return {
        settings.clicks_topic: TopicShape(
            spread, copies, {**delete, **append_time, "max.message.bytes": str(CLICK_BYTES)}
        ),
        settings.recommendations_topic: TopicShape(spread, copies, {**delete, **large}),
        # One partition: its order is the order of the index, which is rebuilt from all of it.
        settings.sessions_topic: TopicShape(
            1, copies, {**delete, **append_time, **large, "retention.ms": "-1", "retention.bytes": "-1"}
        ),
        settings.dead_letters_topic: TopicShape(
            1, copies, {**delete, "max.message.bytes": str(DEAD_LETTER_BYTES)}
        ),
        # A record that a replaced worker left behind must not push the good one out before that is written
        # again, which its owner does by its next write. After a day what was deleted is to be gone.
        changelog_topic(settings): TopicShape(
            spread,
            copies,
            {
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": "600000",
                "max.compaction.lag.ms": "86400000",
                **large,
            },
        ),
    }


async def create(settings: Settings) -> list[str]:
    """Make the topics that are missing; those that exist are left as they are.

    A clicks topic that exists already decides the number of partitions of recommendations and changelog.

    Returns:
        The names of those made, none on a second call.

    Raises:
        TopicError: the broker refuses one.
        BrokerError: no broker answers.
    """
    wanted = wanted_topics(settings)
    existing = await client.describe_topics(settings, list(wanted))
    missing = {
        name: shape for name, shape in _following_clicks(settings, existing).items() if existing[name] is None
    }
    return await client.create_topics(settings, missing) if missing else []


async def check(settings: Settings) -> list[Problem]:
    """Compare the topics that exist with those that are needed.

    A worker refuses to start with what would give wrong or missing answers, or stop it later: a topic that
    is missing, partitions that do not match (clicks, recommendations and changelog alike, sessions one), a
    clean-up or a retention that drops what is needed, dead letters that have no room for a click, more
    in-sync copies asked for than there are. What is only unwise is a warning. A broker that does not tell
    the configs of a topic is believed.

    Raises:
        BrokerError: no broker answers.
    """
    existing = await client.describe_topics(settings, list(wanted_topics(settings)))
    problems = []
    for name, shape in _following_clicks(settings, existing).items():
        found = existing[name]
        if found is None:
            advice = "make it with `nextclick topics create`"
            problems.append(Problem(name, f"{shape.partitions} partition(s)", "missing", advice))
            continue
        problems += _compare_partitions(settings, name, shape, found)
        problems += _compare_configs(name, shape, found)
        problems += _compare_copies(settings, name, found)
    problems += _compare_dead_letters(settings, existing)
    return problems


def _following_clicks(settings: Settings, existing: dict[str, TopicShape | None]) -> dict[str, TopicShape]:
    """The wanted topics, with the partitions of the clicks topic that exists."""
    clicks = existing[settings.clicks_topic]
    spread = settings.partitions if clicks is None else clicks.partitions
    alike = {settings.clicks_topic, settings.recommendations_topic, changelog_topic(settings)}
    return {
        name: replace(shape, partitions=spread) if name in alike else shape
        for name, shape in wanted_topics(settings).items()
    }


def _compare_partitions(settings: Settings, name: str, shape: TopicShape, found: TopicShape) -> list[Problem]:
    if found.partitions == shape.partitions or name == settings.dead_letters_topic:
        return []  # dead letters have no order to keep
    if name == settings.sessions_topic:
        advice = (
            "its order is the order of the index: set sessions_topic to a new name, "
            "then `nextclick topics create`"
        )
    elif found.partitions < shape.partitions:
        advice = (
            f"{settings.clicks_topic} has more: stop the workers, then kafka-topics.sh --bootstrap-server … "
            f"--alter --topic {name} --partitions {shape.partitions}"
        )
    elif name == settings.recommendations_topic:
        advice = (
            f"it must have as many as {settings.clicks_topic}: set recommendations_topic to a new name, "
            "then `nextclick topics create`"
        )
    else:
        advice = (
            f"it must have as many as {settings.clicks_topic}, whose partitions were changed: "
            "set group_id to a new name, then `nextclick topics create`"
        )
    return [Problem(name, f"{shape.partitions} partition(s)", f"{found.partitions} partition(s)", advice)]


def _compare_configs(name: str, shape: TopicShape, found: TopicShape) -> Iterator[Problem]:
    """What is dropped when, whose clock is taken, and what has room."""
    wanted, configs = shape.configs or {}, found.configs or {}
    # Compacted, the sessions topic keeps what the index needs as well, and what is forgotten can be erased.
    erases = "retention.ms" in wanted and configs.get("cleanup.policy") == "compact"
    for key in ("cleanup.policy", "retention.ms", "retention.bytes"):
        if key in wanted and configs.get(key, wanted[key]) != wanted[key] and not erases:
            yield _config_problem(name, key, wanted[key], configs[key])
    key = "message.timestamp.type"
    if key in wanted and configs.get(key, wanted[key]) != wanted[key]:
        why = "or times are those of the producers' clocks"
        yield _config_problem(name, key, wanted[key], configs[key], why, refuses=False)
    key = "max.message.bytes"
    if wanted.get(key) == str(SESSION_BYTES) and int(configs.get(key, SESSION_BYTES)) < SESSION_BYTES:
        why = "or a long session of long names is refused, and stops its partition"
        yield _config_problem(name, key, wanted[key], configs[key], why, refuses=False)


def _compare_copies(settings: Settings, name: str, found: TopicShape) -> Iterator[Problem]:
    key = "min.insync.replicas"
    least = int((found.configs or {}).get(key, 1))
    if least > found.replication:
        why = "more copies than there are can never be in sync: nothing can be written"
        yield _config_problem(name, key, f"at most {found.replication}", str(least), why)
    elif found.replication > 2 and least < 2:  # noqa: PLR2004 -- a majority of three
        why = "or what was confirmed is lost with one broker"
        yield _config_problem(name, key, "2", str(least), why, refuses=False)
    if found.replication < settings.replication_factor:
        advice = "add copies with kafka-reassign-partitions.sh, or lower replication_factor"
        copies = f"{found.replication} replica(s)"
        yield Problem(name, f"{settings.replication_factor} replicas", copies, advice, refuses=False)


def _compare_dead_letters(settings: Settings, existing: dict[str, TopicShape | None]) -> Iterator[Problem]:
    """A click that is no click goes there with headers added; were it refused, its partition would stop."""
    key = "max.message.bytes"
    names = (settings.clicks_topic, settings.dead_letters_topic)
    clicks, letters = ((shape.configs or {}).get(key) if (shape := existing[n]) else None for n in names)
    if clicks and letters and int(letters) < int(clicks) + HEADER_BYTES:
        room = str(int(clicks) + HEADER_BYTES)
        why = f"it must take every record of {names[0]} with headers added"
        yield _config_problem(names[1], key, room, letters, why)


def _config_problem(
    name: str, key: str, expected: str, found: str, why: str = "", *, refuses: bool = True
) -> Problem:
    value = expected.removeprefix("at most ")
    advice = (
        f"change its config: kafka-configs.sh --bootstrap-server … --alter --entity-type topics "
        f"--entity-name {name} --add-config {key}={value}"
    )
    advice = f"{advice}; {why}" if why else advice
    return Problem(name, f"{key}={expected}", f"{key}={found}", advice, refuses)
