"""Workers with a name in the group: one that comes back disturbs nobody, and a name is one worker's."""

from __future__ import annotations

import inspect
import json
import time
import urllib.request

import pytest
from aiokafka.consumer import group_coordinator
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest

from stream_app.worker.membership import FENCED_INSTANCE_ID, UNKNOWN_MEMBER_ID, error_codes
from tests.exact_stream import MESSY_WINDOW, wait_exact
from tests.oracles.whole_log import messy_clicks
from tests.worker_process import WorkerProcess, create_topics, sending, wait_until


def named(settings, name: str, folder: str) -> WorkerProcess:
    """A worker with a name in the group, and a folder."""
    return WorkerProcess(settings.model_copy(update={"group_instance_id": name}), folder)


def partitions(worker: WorkerProcess) -> list[int]:
    """The partitions that a worker says are its own."""
    url = f"http://127.0.0.1:{worker.settings.metrics_port}/status"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return [one["partition"] for one in json.load(answer)["partitions"]]


def rebalances(worker: WorkerProcess) -> float:
    """How many rebalances a worker has seen."""
    return worker.metrics()["nextclick_rebalances_total"]


@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_a_named_worker_comes_back_to_its_partitions_and_gives_way_to_its_double(settings, guarantee):
    """The other one sees no rebalance, a second process of a name ends the first, and all stays exact."""
    settings = settings.model_copy(update=MESSY_WINDOW | {"session_timeout_s": 60.0, "guarantee": guarantee})
    create_topics(settings)
    clicks = messy_clicks(2, 3000)
    with (
        named(settings, "worker-0", "first") as first,
        named(settings, "worker-1", "second") as second,
        named(settings, "worker-0", "double") as double,
        sending(settings, clicks, 100) as stream,
    ):
        for worker in (first, second):
            worker.start()
        for worker in (first, second):
            worker.wait_ready()
        wait_until(
            lambda: partitions(first) and partitions(second), "both have partitions", workers=[first, second]
        )
        before, seen = partitions(first), rebalances(second)
        assert sorted(before + partitions(second)) == list(range(settings.partitions))
        assert first.terminate()[0] == 0
        first.start().wait_ready()
        both = [first, second]
        wait_until(lambda: partitions(first) == before, "it has its partitions again", workers=both)
        assert rebalances(second) == seen
        double.start()
        deadline = time.monotonic() + 90
        while first.running and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not first.running, f"{first.tail()}\n\n{double.tail()}"
        assert first.process.returncode == 1
        assert "another worker has joined the group as 'worker-0', so this one ends" in first.tail()
        double.wait_ready()
        wait_until(lambda: partitions(double) == before, "the double has the partitions", workers=[double])
        assert rebalances(second) == seen
        stream.join()  # else what is read of one topic is older than what is read of the next
        wait_exact(settings, [second, double])
        for worker in (second, double):
            assert worker.terminate()[0] == 0


def test_what_the_coordinator_answers_is_read_for_its_error_codes():
    """Its own code, and those of partitions; answers of aiokafka's own kinds."""
    heartbeat = HeartbeatRequest("group", 1, "member").prepare({12: (0, 1)}).RESPONSE_TYPE
    assert list(error_codes(heartbeat(0, UNKNOWN_MEMBER_ID))) == [UNKNOWN_MEMBER_ID]
    commit = OffsetCommitRequest("group", 1, "member", 0, []).prepare({8: (2, 3)}).RESPONSE_TYPE
    assert list(error_codes(commit(0, [("clicks", [(0, 0), (1, FENCED_INSTANCE_ID)])]))) == [
        0,
        FENCED_INSTANCE_ID,
    ]


def test_the_answers_of_the_coordinator_can_be_read():
    """Of aiokafka's coordinator: all that it asks the group goes through one method."""
    assert inspect.iscoroutinefunction(GroupCoordinator._send_req)
    source = inspect.getsource(group_coordinator)
    for asked in ("HeartbeatRequest(", "OffsetCommitRequest(", "SyncGroupRequest(", "JoinGroupRequest("):
        assert asked in source
    assert source.count("_client.send(") == 1
