"""Faults of workers: killed, joined, stopped, frozen; at any moment."""

from __future__ import annotations

import re

from stream_app.settings import Settings
from tests.faults.stream import FaultStream, Outcome, freeze, is_frozen, longest_pause_s, thaw
from tests.worker_process import WorkerProcess

#: Longer than the session timeout of the streams here, seconds.
BEYOND_TIMEOUT_S = 9.0


def killed_at_each_moment(settings: Settings, scale: float) -> Outcome:
    """A lone worker is killed between any two of a run's writes, while it restores, and again."""
    with FaultStream(settings, 40, scale) as stream:
        moments = ("published", "half", "confirmed", "stored")[scale < 1 :]
        moments += ("uncommitted" if settings.guarantee == "exactly_once" else "unanswered",)
        with stream.load(4500, 100):
            for moment in moments:
                worker = stream.die(moment, stream.chance.randint(3, 9))
            # Its folder gone, it has to restore, which is where the next ones are killed.
            stream.forget_disk(worker)
            for moment in ("restoring", "restored") if scale >= 1 else ("restored",):
                stream.die(moment)
            stream.ready("first")
        return stream.finish()


def frozen_in_the_middle_of_a_run(settings: Settings, scale: float) -> Outcome:
    """A worker freezes right before it writes to the changelog, loses its partitions, and comes back.

    What it still writes is a replaced worker's: the owner must notice and make it good. Exactly once it is
    refused, also where all of it is written and only the commit is left.
    """
    once = settings.guarantee == "exactly_once"
    moments = ("uncommitted", "checked")[: 1 + (scale >= 1)] if once else ("checked",)
    with FaultStream(settings, 41, scale) as stream:
        (owner,) = stream.ready("owner")
        for moment in moments:
            zombie = stream.worker("zombie", moment, "15", "SIGSTOP").start().wait_ready()
            pid = zombie.process.pid
            with stream.load(4500, 300):
                stream.until(lambda pid=pid: is_frozen(pid), "the worker is frozen")
                stream.live(BEYOND_TIMEOUT_S)
            stream.until_answered()
            thaw(pid)
            if once:
                stream.until(
                    lambda worker=zombie: lost(worker) > 0, "the frozen one's transaction is refused"
                )
            else:
                until_noticed(stream, owner)
            stream.until_answered()
            # What the next one restores has it all in it.
            zombie.kill()
            stream.forget_disk(zombie)
        owner.kill()
        stream.forget_disk(owner)
        with stream.load(1000, 400):
            stream.ready("third")
        return stream.finish()


def lost(worker: WorkerProcess) -> float:
    """How many transactions of a worker were ended by others."""
    return worker.by_label("nextclick_transactions_total").get("lost", 0)


def until_noticed(stream: FaultStream, owner: WorkerProcess) -> None:
    """Go on until the owner has noticed what another wrote: by its next write to each partition."""
    for _ in range(20):
        with stream.load(300, 300):
            pass
        if owner.metrics().get("nextclick_changelog_merged_total", 0):
            return
    stream.fail("the owner has not noticed what the frozen one wrote")


def frozen_anywhere(settings: Settings, scale: float) -> Outcome:
    """A worker freezes at any moment for longer than the session timeout, and comes back as a zombie."""
    with FaultStream(settings, 42, scale) as stream:
        first, _ = stream.ready("first", "second")
        with stream.load(6000, 300):
            for _ in range(max(1, round(scale))):
                stream.live(stream.chance.uniform(1, 3))
                freeze(first.process.pid)
                stream.live(BEYOND_TIMEOUT_S)
                thaw(first.process.pid)
        return stream.finish()


def killed_joined_and_stopped(settings: Settings, scale: float) -> Outcome:
    """One of two is killed; a second and a third join; one leaves by SIGTERM; all are killed at once."""
    with FaultStream(settings, 43, scale) as stream:
        first, second = stream.ready("first", "second")
        with stream.load(10_000, 300):
            stream.live(2)
            first.kill()
            stream.live(2)
            stream.ready("first", "third")
            stream.live(1)
            stream.stop(second)
            stream.live(1)
            for worker in stream.workers.values():
                if worker.running:
                    worker.kill()
            stream.ready("first", "second")
        return stream.finish()


def rolled(settings: Settings, scale: float) -> Outcome:
    """Each of two workers is stopped and started again, one after the other, as an upgrade does."""
    with FaultStream(settings, 46, scale) as stream:
        return roll(stream)


def rolled_by_name(settings: Settings, scale: float) -> Outcome:
    """The same where workers have a group_instance_id: partitions wait for theirs, the others see nothing."""
    with FaultStream(settings, 47, scale, session_timeout_s=60.0) as stream:
        stream.named = True
        return roll(stream)


def roll(stream: FaultStream) -> Outcome:
    """A rolling restart; nothing is lost, and answers are given once."""
    stream.ready("first", "second")
    with stream.load(8000, 200):
        for name in ("first", "second"):
            stream.live(3)
            stream.stop(stream.workers[name])
            stream.ready(name)
    outcome = stream.finish()
    assert outcome.repeats == 0, "who is stopped finishes and commits what it has in hand"
    return outcome._replace(pause_s=longest_pause_s(stream.settings))


def killed_at_random(settings: Settings, scale: float) -> Outcome:
    """Two workers are killed at random moments, again and again."""
    with FaultStream(settings, 44, scale) as stream:
        workers = stream.ready("first", "second")
        with stream.load(5000, 250):
            while stream.sender.is_alive():
                victim = stream.chance.choice(workers)
                victim.kill()
                victim.start()
                stream.live(stream.chance.uniform(1, 9))
        return stream.finish()


def hanging(settings: Settings, scale: float) -> Outcome:
    """A run never ends: /live, a metric and the log say so, where and in which phase; a restart goes on."""
    with FaultStream(settings, 45, scale, stall_s=10.0) as stream:
        worker = stream.worker("first", "published", "5", "HANG").start().wait_ready()
        assert worker.live()[0] == 200
        with stream.load(3000, 300):
            stream.until(lambda: worker.live()[0] == 503, "the worker says that it is stalled", 30)
            said = r"partition \d has finished nothing for .* offset \d+ of \d+, "
            assert re.search(said, worker.live()[1])
            assert worker.metrics()["nextclick_stalled_partitions"] > 0
            assert "stalled: partition" in worker.tail()
            worker.kill()
            stream.watchdog.forgive()
            stream.ready("first")
        stream.until(lambda: worker.live() == (200, "ok\n"), "the worker says that it is well", 30)
        return stream.finish()
