"""What the demo knows so far, and the picture of it that is shown."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from core.answers import Answer
from core.kernels.codes import Source
from core.scoring import Recommended
from core.window.clicks import Click
from stream_app.demo.purchases import begins_basket

#: Latencies that are kept; the percentiles at the end are over these, the live ones over the newest.
MOST_LATENCIES: Final = 100_000
LIVE_LATENCIES: Final = 2_000
#: Points of the hit rate's curve; where they are full, every second one is dropped.
MOST_POINTS: Final = 240
#: Seconds that a visitor is shown, at least, so that one can read.
SHOWN_S: Final = 2.0
#: Clicks of a session that are shown, and clicks that a session should have to be worth showing.
SHOWN_CLICKS: Final = 30
WORTH_CLICKS: Final = 3
#: Visitors whose sessions are remembered for showing; the one not seen for longest is forgotten.
MOST_VISITORS: Final = 5_000

_RATE_S: Final = 3.0


@dataclass(frozen=True)
class Suggestion:
    """A recommended product.

    Args:
        item: its id.
        name: its name; products of one kind share it.
        source: see :class:`core.scoring.Recommended`.
        shared: the name of the product that vouches for it; empty for a popular one.
        sessions: how many sessions vouch.
        bought: whether this session went on to buy it.
    """

    item: str
    name: str
    source: Source
    shared: str
    sessions: int
    bought: bool = False


@dataclass(frozen=True)
class ShownSession:
    """A visitor's session up to a click, and what was recommended after that click."""

    visitor: str
    products: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True)
class Quality:
    """Hit rate@20 and MRR@20 over the clicks judged so far, and the same for plain popularity."""

    judged: int = 0
    hit_rate: float = 0.0
    mrr: float = 0.0
    popularity_hit_rate: float = 0.0
    popularity_mrr: float = 0.0


@dataclass(frozen=True)
class DemoState:
    """All that a view shows; latencies in milliseconds, None where nothing was measured yet."""

    broker: str = ""
    elapsed_s: float = 0.0
    goal: int | None = None
    answered: int = 0
    baskets: int = 0
    clicks_per_s: float = 0.0
    open_sessions: int = 0
    sessions_closed: int = 0
    dead_letters: int = 0
    index_sessions: int = 0
    index_items: int = 0
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    quality: Quality = field(default_factory=Quality)
    #: (clicks answered, hit rate, popularity's), oldest first
    curve: tuple[tuple[int, float, float], ...] = ()
    shown: ShownSession | None = None


class Statistics:
    """Counts what is sent and answered; every buffer is bounded.

    Args:
        names: product id → readable name.
        broker: its name, for the view.
        goal: clicks after which the demo ends; None: none.
    """

    def __init__(self, names: Mapping[str, str], broker: str, goal: int | None) -> None:
        self._names = names
        self._broker = broker
        self._goal = goal
        self.begun = time.monotonic()
        self.last_answer = self.begun
        self.sent = 0
        self.answered = 0
        self.baskets = 0
        self._sent_at: dict[str, deque[float]] = {}
        self._latencies: deque[float] = deque(maxlen=MOST_LATENCIES)
        self._rate: deque[tuple[float, int]] = deque([(self.begun, 0)])
        self._curve: list[tuple[int, float, float]] = []
        self._metrics: Mapping[str, float] = {}
        self._sessions: OrderedDict[str, tuple[str, deque[str]]] = OrderedDict()
        self._shown: tuple[Answer, tuple[str, ...]] | None = None
        self._shown_at = 0.0
        self._bought_since: set[str] = set()

    @property
    def unanswered(self) -> int:
        """Clicks sent whose answers have not come yet."""
        return self.sent - self.answered

    def note_sent(self, click: Click) -> None:
        """A click is handed to the producer now."""
        self.sent += 1
        self.baskets += begins_basket(click)
        # The answers to one visitor come in the order of the clicks: they are in one partition.
        self._sent_at.setdefault(click.visitor, deque()).append(time.monotonic())

    def note_answer(self, answer: Answer) -> None:
        """An answer has arrived now."""
        self.answered += 1
        now = self.last_answer = time.monotonic()
        waiting = self._sent_at.get(answer.visitor)
        if waiting:
            self._latencies.append(now - waiting.popleft())
            if not waiting:
                del self._sent_at[answer.visitor]
        self._note_session(answer)
        self._maybe_show(answer, now)

    def note_metrics(self, metrics: Mapping[str, float]) -> None:
        """Take the worker's metrics; an empty page changes nothing."""
        if not metrics:
            return
        self._metrics = metrics
        quality = self.quality()
        if quality.judged:
            point = (self.answered, quality.hit_rate, quality.popularity_hit_rate)
            if not self._curve or point[0] > self._curve[-1][0]:
                self._curve.append(point)
            if len(self._curve) > MOST_POINTS:
                self._curve = self._curve[::2]

    def quality(self) -> Quality:
        """The worker's own judgement of its answers."""
        judged = self.metric("prequential_clicks_total")
        if not judged:
            return Quality()
        return Quality(
            judged=int(judged),
            hit_rate=self.metric("prequential_hits_total") / judged,
            mrr=self.metric("prequential_reciprocal_rank_total") / judged,
            popularity_hit_rate=self.metric("prequential_popularity_hits_total") / judged,
            popularity_mrr=self.metric("prequential_popularity_reciprocal_rank_total") / judged,
        )

    def metric(self, name: str) -> float:
        """One of the worker's metrics, without the prefix; 0 where it has no sample yet."""
        return self._metrics.get(f"nextclick_{name}", 0.0)

    @property
    def seconds(self) -> float:
        """From the first click sent to the last answer."""
        return max(self.last_answer - self.begun, 1e-9)

    def latency_ms(self, share: float, newest: int = MOST_LATENCIES) -> float | None:
        """A percentile of the newest latencies, from sending a click to the arrival of its answer."""
        sample = sorted(islice(reversed(self._latencies), newest))
        return 1000 * sample[min(len(sample) - 1, int(share * len(sample)))] if sample else None

    def state(self) -> DemoState:
        """How it stands now."""
        return DemoState(
            broker=self._broker,
            elapsed_s=time.monotonic() - self.begun,
            goal=self._goal,
            answered=self.answered,
            baskets=self.baskets,
            clicks_per_s=self._clicks_per_s(),
            open_sessions=int(self.metric("open_sessions")),
            sessions_closed=int(self.metric("sessions_closed_total")),
            dead_letters=int(self.metric("dead_letters_total")),
            index_sessions=int(self.metric("index_sessions")),
            index_items=int(self.metric("index_items")),
            latency_p50_ms=self.latency_ms(0.5, LIVE_LATENCIES),
            latency_p99_ms=self.latency_ms(0.99, LIVE_LATENCIES),
            quality=self.quality(),
            curve=tuple(self._curve),
            shown=self._shown_session(),
        )

    def _clicks_per_s(self) -> float:
        now = time.monotonic()
        self._rate.append((now, self.answered))
        while len(self._rate) > 2 and now - self._rate[0][0] > _RATE_S:  # noqa: PLR2004 -- a rate needs two points
            self._rate.popleft()
        began, before = self._rate[0]
        return (self.answered - before) / max(now - began, 1e-9)

    def _note_session(self, answer: Answer) -> None:
        known = self._sessions.get(answer.visitor)
        if known is None or known[0] != answer.session:
            known = (answer.session, deque(maxlen=SHOWN_CLICKS))
            self._sessions[answer.visitor] = known
        known[1].append(answer.item)
        self._sessions.move_to_end(answer.visitor)
        if len(self._sessions) > MOST_VISITORS:
            self._sessions.popitem(last=False)

    def _maybe_show(self, answer: Answer, now: float) -> None:
        if self._shown is not None:
            if answer.session == self._shown[0].session:
                self._bought_since.add(answer.item)
            shown_s = now - self._shown_at
            if shown_s < SHOWN_S or (answer.position < WORTH_CLICKS and shown_s < 2 * SHOWN_S):
                return
        self._shown = answer, tuple(self._sessions[answer.visitor][1])
        self._shown_at = now
        self._bought_since = set()

    def _shown_session(self) -> ShownSession | None:
        if self._shown is None:
            return None
        answer, items = self._shown
        return ShownSession(
            visitor=answer.visitor,
            products=tuple(self._name(item) for item in items),
            suggestions=tuple(self._suggestion(item) for item in answer.items),
        )

    def _suggestion(self, item: Recommended) -> Suggestion:
        return Suggestion(
            item=item.item,
            name=self._name(item.item),
            source=item.source,
            shared=self._name(item.shared) if item.shared else "",
            sessions=item.sessions,
            bought=item.item in self._bought_since,
        )

    def _name(self, item: str) -> str:
        return self._names.get(item, f"Product {item}")
