"""The topics on a real Kafka: made once, checked, and the commands that do so."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import TopicError
from core.window.clicks import Click
from stream_app.kafka import client as door
from stream_app.kafka import topics
from stream_app.kafka.brokers import embedded_broker
from stream_app.kafka.client import TopicShape
from stream_app.kafka.groups import group_offsets
from stream_app.kafka.lag import PartitionLag, lag_of
from stream_app.kafka.topics import Problem
from stream_app.settings import Settings
from tests.oracles.whole_log import BEGIN_MS
from tests.worker_process import send_clicks

NEXTCLICK = str(Path(sys.executable).with_name("nextclick"))


def make(settings: Settings, shapes: dict[str, TopicShape]) -> None:
    """Make topics of other shapes than those wanted."""
    asyncio.run(door.create_topics(settings, shapes))


def check(settings: Settings) -> dict[str, str]:
    """What is found, by the name of each topic with which a worker does not start."""
    return {problem.topic: problem.found for problem in problems(settings, refuses=True)}


def problems(settings: Settings, *, refuses: bool) -> list[Problem]:
    """What keeps a worker from starting, or what it only warns about."""
    return [problem for problem in asyncio.run(topics.check(settings)) if problem.refuses == refuses]


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with these settings in its environment."""
    return subprocess.run(
        [NEXTCLICK, *arguments],
        env={**os.environ, **settings.environment(), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_create_and_check(settings):
    """On an empty broker all five are missing, then made as wanted, then left alone."""
    wanted = topics.wanted_topics(settings)
    assert check(settings) == dict.fromkeys(wanted, "missing")
    assert asyncio.run(topics.create(settings)) == list(wanted)
    assert asyncio.run(topics.create(settings)) == []
    assert check(settings) == {}
    for name, found in asyncio.run(door.describe_topics(settings, list(wanted))).items():
        assert (found.partitions, found.replication) == (wanted[name].partitions, wanted[name].replication)
        assert wanted[name].configs.items() <= found.configs.items()


def test_embedded_broker_takes_the_same_topics():
    """The embedded broker of the demo takes all five, and has nothing wrong with them."""
    with embedded_broker() as broker:
        settings = Settings(bootstrap_servers=broker.bootstrap)
        assert len(asyncio.run(topics.create(settings))) == 5
        assert asyncio.run(topics.create(settings)) == []
        assert check(settings) == {}


def test_existing_clicks_decide(settings):
    """A clicks topic of another size than the setting's decides the size of recommendations and changelog."""
    make(settings, {settings.clicks_topic: TopicShape(7)})
    asyncio.run(topics.create(settings))
    assert check(settings) == {}
    alike = [settings.clicks_topic, settings.recommendations_topic, topics.changelog_topic(settings)]
    found = asyncio.run(door.describe_topics(settings, alike))
    assert [shape.partitions for shape in found.values()] == [7, 7, 7]


def test_wrong_partitions(settings):
    """Each topic whose partitions do not match is found, with what to do; dead letters are free."""
    partitions = {
        settings.clicks_topic: 2,
        settings.recommendations_topic: 3,
        settings.sessions_topic: 4,
        settings.dead_letters_topic: 5,
        topics.changelog_topic(settings): 6,
    }
    wanted = topics.wanted_topics(settings)
    make(settings, {name: replace(wanted[name], partitions=n) for name, n in partitions.items()})
    found = {problem.topic: problem for problem in problems(settings, refuses=True)}
    assert {name: (problem.expected, problem.found) for name, problem in found.items()} == {
        settings.recommendations_topic: ("2 partition(s)", "3 partition(s)"),
        settings.sessions_topic: ("1 partition(s)", "4 partition(s)"),
        topics.changelog_topic(settings): ("2 partition(s)", "6 partition(s)"),
    }
    assert "set recommendations_topic to a new name" in found[settings.recommendations_topic].advice
    assert "set sessions_topic to a new name" in found[settings.sessions_topic].advice
    assert "set group_id to a new name" in found[topics.changelog_topic(settings)].advice


def test_wrong_clean_up(settings):
    """A changelog that forgets by age, and clicks that are compacted, are found."""
    make(
        settings,
        {
            settings.clicks_topic: TopicShape(4, 1, {"cleanup.policy": "compact"}),
            topics.changelog_topic(settings): TopicShape(4),
        },
    )
    asyncio.run(topics.create(settings))
    assert check(settings) == {
        settings.clicks_topic: "cleanup.policy=compact",
        topics.changelog_topic(settings): "cleanup.policy=delete",
    }


@pytest.mark.parametrize(
    ("topic", "config", "found", "refuses"),
    [
        ("sessions", {"retention.ms": "604800000"}, "retention.ms=604800000", True),
        ("sessions", {"retention.bytes": "1000000"}, "retention.bytes=1000000", True),
        ("changelog", {"cleanup.policy": "compact,delete"}, "cleanup.policy=compact,delete", True),
        ("recommendations", {"cleanup.policy": "compact"}, "cleanup.policy=compact", True),
        ("dead-letters", {"max.message.bytes": "2097152"}, "max.message.bytes=2097152", True),
        ("clicks", {"min.insync.replicas": "2"}, "min.insync.replicas=2", True),
        ("clicks", {"message.timestamp.type": "CreateTime"}, "message.timestamp.type=CreateTime", False),
        ("sessions", {"max.message.bytes": "1048588"}, "max.message.bytes=1048588", False),
        ("dead-letters", {"retention.ms": "1000"}, None, False),
        ("recommendations", {"retention.ms": "1000"}, None, False),
    ],
)
def test_wrong_configs(settings, topic, config, found, refuses):
    """Each config that loses what is needed, or stops a worker, is refused; what is unwise is a warning."""
    name = {
        "clicks": settings.clicks_topic,
        "recommendations": settings.recommendations_topic,
        "sessions": settings.sessions_topic,
        "dead-letters": settings.dead_letters_topic,
        "changelog": topics.changelog_topic(settings),
    }[topic]
    shape = topics.wanted_topics(settings)[name]
    make(settings, {name: replace(shape, configs={**shape.configs, **config})})
    asyncio.run(topics.create(settings))
    expected = [(name, found, refuses)] if found else []
    all_found = asyncio.run(topics.check(settings))
    assert [(problem.topic, problem.found, problem.refuses) for problem in all_found] == expected
    assert all(f"--add-config {next(iter(config))}=" in problem.advice for problem in all_found)


def test_fewer_copies_than_the_setting_are_a_warning(settings):
    """Topics that were made for one broker are usable where three are wanted, and said to be fewer."""
    asyncio.run(topics.create(settings))
    more = settings.model_copy(update={"replication_factor": 3})
    assert problems(more, refuses=True) == []
    assert {(p.expected, p.found) for p in problems(more, refuses=False)} == {("3 replicas", "1 replica(s)")}
    done = run(more, "topics", "check")
    assert done.returncode == 0
    assert done.stdout.count("warning") == 5


def test_refused_topic(settings):
    """A topic that the broker refuses is told with its name and the broker's reason."""
    with pytest.raises(TopicError, match=r"refuses topic 'clicks-\w+': .*[Rr]eplication factor"):
        asyncio.run(topics.create(settings.model_copy(update={"replication_factor": 3})))


def test_create_command(settings):
    """`topics create` makes all, says so, and does nothing the second time."""
    first = run(settings, "topics", "create")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.count(" created") == 5
    second = run(settings, "topics", "create", "--json")
    assert (second.returncode, json.loads(second.stdout)) == (0, {"created": [], "problems": []})


def test_check_command(settings):
    """`topics check` exits with 1 while something is wrong, and with 0 when nothing is."""
    before = run(settings, "topics", "check", "--json")
    assert before.returncode == 1
    assert [problem["found"] for problem in json.loads(before.stdout)["problems"]] == ["missing"] * 5
    table = run(settings, "topics", "check")
    assert table.returncode == 1
    assert table.stdout.count("make it with `nextclick topics create`") == 5
    asyncio.run(topics.create(settings))
    after = run(settings, "topics", "check")
    assert (after.returncode, after.stderr) == (0, "")
    assert after.stdout.startswith("all topics are as they should be: clicks-")


def test_list_and_lag(settings):
    """Sizes and retention of each topic; how far the group is, where it has not begun, and what is lost."""
    asyncio.run(topics.create(settings))
    send_clicks(settings, [Click(f"v{n}", "a", BEGIN_MS) for n in range(40)])
    listed = {
        one["topic"]: one for one in json.loads(run(settings, "topics", "list", "--json").stdout)["topics"]
    }
    assert list(listed) == list(topics.wanted_topics(settings))
    clicks = listed[settings.clicks_topic]
    assert (clicks["partitions"], clicks["replicas"], clicks["records"]) == (4, 1, 40)
    assert listed[settings.sessions_topic]["kept"] == "for ever"
    assert "1 replica" not in run(settings, "topics", "list").stdout
    fresh = json.loads(run(settings, "topics", "lag", "--json").stdout)
    assert fresh["lag"] == 40
    assert {one["committed"] for one in fresh["partitions"]} == {None}
    assert run(settings, "topics", "lag").stdout.count("not begun") == 4
    ends = {one["partition"]: one["end"] for one in fresh["partitions"]}

    async def commit() -> None:
        async with group_offsets(settings, settings.clicks_topic, 4) as group:
            await group.commit({partition: end - 1 for partition, end in ends.items()})

    asyncio.run(commit())
    assert json.loads(run(settings, "topics", "lag", "--json").stdout)["lag"] == 4
    done = run(settings, "topics", "lag")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"the group {settings.group_id!r} has 4 records of {settings.clicks_topic} to go" in done.stdout


@pytest.mark.parametrize(
    ("begin", "committed", "end", "lag", "lost"),
    [(0, None, 0, 0, 0), (3, None, 10, 7, 0), (3, 7, 10, 3, 0), (8, 5, 10, 2, 3), (0, 10, 10, 0, 0)],
)
def test_the_lag_of_a_partition(begin, committed, end, lag, lost):
    """A group that has not begun has all before it; what retention took before it came is lost."""
    assert lag_of(2, begin, committed, end) == PartitionLag(2, begin, committed, end, lag, lost)


def test_create_command_shows_what_cannot_be_used(settings):
    """`topics create` exits with 1 when a topic that exists cannot be used as it is."""
    make(settings, {settings.sessions_topic: TopicShape(3)})
    done = run(settings, "topics", "create")
    assert done.returncode == 1
    assert "3 partition(s)" in done.stdout
