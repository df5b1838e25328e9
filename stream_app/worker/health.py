"""How the worker is: ready or not and why, alive or not, how far its recovery is; said over HTTP and logged.

The event loop looks each second and keeps what it saw; the pages are answered from that by other threads, so
that they answer also when the loop is busy, and say how old what they say is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from core.errors import SettingsError
from stream_app.index.feed import IndexFeed
from stream_app.operations.status import IndexStatus, PartitionStatus, Reading, Status
from stream_app.settings import Settings
from stream_app.telemetry import Telemetry
from stream_app.version import version
from stream_app.web import JSON, Answer, Web, page
from stream_app.worker.fingerprint import changed, fingerprint
from stream_app.worker.liveness import Liveness
from stream_app.worker.pace import Pace, sentence
from stream_app.worker.processor import PartitionProcessor
from stream_app.worker.restoring import Restoring
from stream_app.worker.tables import VisitorTable

logger = logging.getLogger(__name__)

#: A worker that has not looked for so long is not ready, seconds: nobody knows how it is.
UNSEEN_S: Final = 15.0

#: How often the log says how far a recovery is, seconds.
SAY_S: Final = 10.0


class Health:
    """Looks at the worker each second, and says what it saw.

    Args:
        settings: where to listen, the token, what is said of them.
        telemetry: is told, and is one of the pages.
        app: the Faust app.
        table: its visitor table.
        restoring: how far it is restored.
        feed: the index's.
        processors: by partition; changes.
        liveness: whether there is progress.
    """

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        app: Any,
        table: VisitorTable,
        restoring: Restoring,
        feed: IndexFeed,
        processors: Mapping[int, PartitionProcessor],
        liveness: Liveness,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._app = app
        self._table = table
        self._restoring = restoring
        self._feed = feed
        self._processors = processors
        self._liveness = liveness
        self._began_s = self._seen_at_s = time.monotonic()
        self._assigned_at_s: float | None = None
        self._recovered = False
        self._waits_for = ["starting"]
        self._recovery, self._indexing = Pace(), Pace()
        self._said_at_s = self._began_s
        self._parts: list[PartitionStatus] = []
        pages = {"/live": page(self._live_page), "/ready": page(self._ready_page)}
        guarded = {"/metrics": telemetry.page(), "/status": page(self._status_page)}
        self._web = Web(pages, guarded, settings.http_token.get_secret_value())
        telemetry.ready.set_function(lambda: not self.waits_for())
        telemetry.recovery_remaining.set_function(lambda: self._recovery.reading().left or 0)

    def serve(self) -> None:
        """Answer requests.

        Raises:
            SettingsError: the address is taken, or is none of this machine's.
        """
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            port = self._web.start(host, port)
        except OSError as error:
            raise SettingsError(
                f"metrics_host, metrics_port: cannot listen on {host}:{port}: {error.strerror}; "
                "set another port, or 0 for a free one"
            ) from None
        logger.info("metrics at http://%s:%d/metrics, also /status, /live and /ready", host, port)

    def stop(self) -> None:
        """Answer no more."""
        self._web.stop()

    def assigned(self, partitions: list[int]) -> None:
        """Note that partitions were assigned and their recovery begins."""
        self._assigned_at_s = self._said_at_s = time.monotonic()
        self._recovered = False
        self._recovery.begin()
        self._telemetry.rebalances.inc()
        if partitions:
            said = f"partitions {', '.join(map(str, partitions))}"
        else:
            said = "no partition, there are more workers than partitions; this one stands by"
        logger.info("assigned: %s", said, extra={"partitions": partitions})

    def revoked(self, partitions: list[int]) -> None:
        """Note that a rebalance has begun, and which partitions are given back in it."""
        if partitions:
            said = ", ".join(map(str, partitions))
            logger.info("rebalance: partitions %s are revoked", said, extra={"partitions": partitions})

    def recovered(self) -> None:
        """Note that the table is recovered."""
        if self._recovered or self._assigned_at_s is None:
            return
        self._recovered = True
        seconds = time.monotonic() - self._assigned_at_s
        self._telemetry.recovery_seconds.set(seconds)
        self._recovery.look(0, time.monotonic())
        done = self._recovery.reading().done
        what = f": {done} changelog records" if done else ""
        logger.info(
            "recovered in %.1f s%s", seconds, what, extra={"seconds": round(seconds, 3), "records": done}
        )

    def stopping(self) -> None:
        """Note that the worker stops; it is looked no more."""
        self._waits_for = ["it stops"]

    @property
    def is_recovered(self) -> bool:
        """Whether the state of the assigned partitions is there, and no rebalance has begun since."""
        return self._recovered and not self._app.rebalancing

    def look(self) -> bool:
        """Look how the worker is, from its event loop, each second. Whether it is ready."""
        now_s = time.monotonic()
        if not self._recovered and self._assigned_at_s is not None:
            self._telemetry.recovery_seconds.set(now_s - self._assigned_at_s)
        self._follow(now_s)
        self._parts = self._partitions()
        self._telemetry.assigned_partitions.set(len(self._parts))
        before, self._waits_for = self._waits_for, self._see_what_it_waits_for()
        self._seen_at_s = now_s
        if not before and self._waits_for:
            why = "; ".join(self._waits_for)
            logger.warning("not ready: %s", why, extra={"waits_for": self._waits_for})
        elif before and not self._waits_for:
            self._said_at_s = now_s
            mine = [part.partition for part in self._parts]
            seconds = round(now_s - self._began_s, 1)
            logger.info(
                "ready, %.1f s after the start", seconds, extra={"partitions": mine, "seconds": seconds}
            )
        return not self._waits_for

    def waits_for(self) -> list[str]:
        """What the worker is not ready for, a sentence each; from any thread."""
        unseen_s = time.monotonic() - self._seen_at_s
        if unseen_s > UNSEEN_S and not self._waits_for:
            return [f"its event loop has not turned for {unseen_s:.0f} s"]
        return self._waits_for

    def _see_what_it_waits_for(self) -> list[str]:
        app, found = self._app, []
        if app.should_stop:
            return ["it stops"]
        if self._assigned_at_s is None:
            found.append("no partitions are assigned yet")
        elif not self.is_recovered:
            found.append(sentence("restoring the state, changelog records", self._recovery.reading()))
        elif (silent_s := app.consumer.silent_s) >= self._settings.session_timeout_s:
            found.append(f"the brokers have not answered for {silent_s:.0f} s")
        if not self._feed.caught_up:
            found.append(sentence("reading the index, closed sessions", self._indexing.reading()))
        return found

    def _follow(self, now_s: float) -> None:
        """Note how far the recovery and the index are, and say it now and then."""
        going_on: list[tuple[str, Reading]] = []
        if not self._feed.caught_up:
            self._indexing.look(self._feed.left_at_start, now_s)
            going_on.append(("reading the index, closed sessions", self._indexing.reading()))
        elif self._indexing.reading().left != 0:
            self._indexing.look(0, now_s)
        if self._assigned_at_s is not None and not self.is_recovered:
            if (left := self._restoring.left) is not None:
                self._recovery.look(left, now_s)
            going_on.append(("restoring the state, changelog records", self._recovery.reading()))
        if going_on and now_s - self._said_at_s >= SAY_S:
            self._said_at_s = now_s
            for what, reading in going_on:
                logger.info("%s", sentence(what, reading), extra=msgspec.structs.asdict(reading))

    def _partitions(self) -> list[PartitionStatus]:
        if self._assigned_at_s is None or self._app.should_stop:
            return []
        consumer, clicks = self._app.consumer, self._settings.clicks_topic
        mine = sorted(tp for tp in consumer.assignment() if tp.topic == clicks)
        if not self.is_recovered:
            return [
                PartitionStatus(tp.partition, None, None, None, None, "restoring its state") for tp in mine
            ]
        return [self._partition(tp, consumer) for tp in mine]

    def _partition(self, tp: Any, consumer: Any) -> PartitionStatus:
        end, lag = consumer.end(tp), consumer.lag(tp)
        if processor := self._processors.get(tp.partition):
            done = processor.done_until
            return PartitionStatus(tp.partition, done, end, lag, processor.open_sessions, processor.phase)
        done = self._table.partition(tp.partition).applied + 1
        return PartitionStatus(tp.partition, done, end, lag, None, "no run has come")

    def status(self) -> Status:
        """All that is known; from any thread."""
        now_s = time.monotonic()
        live, liveness = self._liveness.state(now_s)
        waits_for = self.waits_for()
        return Status(
            version=version(),
            group=self._settings.group_id,
            uptime_s=round(now_s - self._began_s, 1),
            seen_s=round(now_s - self._seen_at_s, 1),
            ready=not waits_for,
            waits_for=waits_for,
            live=live,
            liveness=liveness,
            partitions=self._parts,
            recovery=self._recovery.reading(),
            index=self._index(),
            fingerprint=fingerprint(self._settings),
            settings=changed(self._settings),
        )

    def _index(self) -> IndexStatus:
        feed, index = self._feed, self._feed.index
        newest = feed.newest_snapshot
        return IndexStatus(
            sessions=index.sessions,
            items=index.items,
            clicks=index.clicks,
            bytes=index.bytes,
            offset=feed.offset,
            lag=feed.lag,
            snapshot_offset=newest.offset if newest else 0,
            snapshot_age_s=round(time.time() - newest.written_s, 1) if newest else None,
            reading=self._indexing.reading(),
        )

    def _live_page(self) -> Answer:
        lives, said = self._liveness.state(time.monotonic())
        return Answer(HTTPStatus.OK if lives else HTTPStatus.SERVICE_UNAVAILABLE, f"{said}\n".encode())

    def _ready_page(self) -> Answer:
        waits_for = self.waits_for()
        if not waits_for:
            return Answer(HTTPStatus.OK, b"ready\n")
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{said}\n" for said in waits_for).encode())

    def _status_page(self) -> Answer:
        return Answer(HTTPStatus.OK, msgspec.json.format(msgspec.json.encode(self.status())) + b"\n", JSON)
