"""The window: which clicks are one session, and when it is over.

Time here is event time: the clicks' own. Each input partition has a *watermark*, the largest click time seen
in it. A click within ``gap`` of the open session joins it, in time order. The session is over once the
watermark has passed its last click by more than ``gap + grace``: from then on no click that is not late can
reach it, so it makes no difference when somebody looks. Every decision is a function of the session, the
click, the click's place in the log and the watermark at that place; hence the closed sessions are a function
of the log alone.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, Literal

import msgspec

from core.errors import InvalidParameterError
from core.window.clicks import Click

#: What closed a session. ``gap``: the visitor's next click came too late to join. ``watermark``: the
#: partition's event time moved on. ``idle``: the partition had no traffic for a time of the clock; the one
#: cause that is not a function of the log.
Cause = Literal["gap", "watermark", "idle"]
CAUSES: Final[tuple[Cause, ...]] = ("gap", "watermark", "idle")

#: What became of a click. ``joined`` and ``opened``: it is in a session. ``overlong``: its session is a bot's
#: and no longer grows. ``duplicate``: the session has that id already. ``late`` and ``future``: it belongs to
#: dead-letters. ``replay``: it was applied before.
Outcome = Literal["joined", "opened", "overlong", "duplicate", "late", "future", "replay"]


class WindowRules(msgspec.Struct, frozen=True):
    """The window's parameters.

    Args:
        gap_ms: a click at most so long after the last one joins the session; > 0.
        grace_ms: a click may be at most so far behind the watermark; >= 0.
        future_ms: a click may be at most so far ahead of its append to the log; >= 0.
        max_clicks: a session holds at most so many clicks; >= 1.

    Raises:
        InvalidParameterError: a value is out of its range.
    """

    gap_ms: int = 1_200_000
    grace_ms: int = 60_000
    future_ms: int = 300_000
    max_clicks: int = 200

    def __post_init__(self) -> None:
        for name, least in (("gap_ms", 1), ("grace_ms", 0), ("future_ms", 0), ("max_clicks", 1)):
            if getattr(self, name) < least:
                raise InvalidParameterError(f"{name} is {getattr(self, name)}, expected at least {least}")


class HeldClick(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A click as an open session holds it: when, where in the log, what."""

    time_ms: int
    offset: int
    item: str
    id: str | None = None
    action: str | None = None


class Session(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An open session.

    Args:
        id: ``partition-offset`` of the click that opened it.
        clicks: in time order, clicks of equal time in log order; 1 to ``max_clicks``.
        last_ms: the largest time of all its clicks, held or not.
        total: how many clicks it had, those beyond ``max_clicks`` included.
        duplicates: how many clicks came again with an id that it holds.
    """

    id: str
    clicks: tuple[HeldClick, ...]
    last_ms: int
    total: int = 1
    duplicates: int = 0

    @property
    def items(self) -> tuple[str, ...]:
        """Item of each held click, in time order."""
        return tuple([click.item for click in self.clicks])  # a list: half of a generator's time


class ClosedSession(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A closed session: the record of the sessions topic.

    Args:
        session: its id.
        visitor: whose.
        items: item of each held click, in time order.
        times: time of each, milliseconds since 1970.
        start: time of the first held click, milliseconds.
        end: time of the last click, held or not, milliseconds.
        cause: what closed it.
        clicks: how many clicks it had; more than ``len(items)`` where it is overlong.
        duplicates: how many repeated clicks were counted once.
        overlong: it passed ``max_clicks``: a bot, which is not learnt from.
        actions: action of each held click; empty where none had one.
    """

    session: str
    visitor: str
    items: tuple[str, ...]
    times: tuple[int, ...]
    start: int
    end: int
    cause: Cause
    clicks: int
    duplicates: int = 0
    overlong: bool = False
    actions: tuple[str | None, ...] = ()


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a click is in the log: partition, offset, and when it was appended (ms since 1970)."""

    partition: int
    offset: int
    append_ms: int


class Advance(msgspec.Struct, frozen=True, gc=False):
    """What one click did: its outcome, the visitor's session after it, what it closed.

    There is a session after it if there was one before: only :func:`core.window.step.close_run` leaves none.
    """

    outcome: Outcome
    session: Session | None
    closed: ClosedSession | None = None


def advance(
    session: Session | None, click: Click, place: Place, watermark_ms: int | None, rules: WindowRules
) -> Advance:
    """Apply one click to its visitor's session.

    Args:
        session: the visitor's open session, or None.
        click: the click.
        place: where the click is in the log.
        watermark_ms: largest time of the partition's earlier clicks; None before the first.
        rules: the window's parameters.
    """
    if click.time_ms > place.append_ms + rules.future_ms:
        return Advance("future", session)
    before, closed = session, None
    if session is not None and is_over(session, watermark_ms, rules):
        closed, session = close(session, click.visitor, "watermark", rules), None
    if session is not None and _holds_id(session, click.id):
        return Advance("duplicate", msgspec.structs.replace(session, duplicates=session.duplicates + 1))
    if watermark_ms is not None and click.time_ms < watermark_ms - rules.grace_ms:
        # A session that is over is left to the sweep: were it deleted here, a crash that lost the deletion
        # could leave an older state of it, which would close a second time and with other clicks.
        return Advance("late", before)
    if session is not None and click.time_ms > session.last_ms + rules.gap_ms:
        closed, session = close(session, click.visitor, "gap", rules), None
    if session is None:
        return Advance("opened", _open(click, place), closed)
    if click.time_ms + rules.gap_ms < session.clicks[0].time_ms:
        return Advance("late", session)
    last_ms, total = max(session.last_ms, click.time_ms), session.total + 1
    if session.total >= rules.max_clicks:
        return Advance("overlong", msgspec.structs.replace(session, last_ms=last_ms, total=total))
    return Advance(
        "joined",
        Session(session.id, _insert(session.clicks, click, place), last_ms, total, session.duplicates),
    )


def is_over(session: Session, watermark_ms: int | None, rules: WindowRules) -> bool:
    """Whether no click that is not late can reach the session any more."""
    return is_over_at(session.last_ms, watermark_ms, rules)


def is_over_at(last_ms: int, watermark_ms: int | None, rules: WindowRules) -> bool:
    """The same by the time of the session's last click."""
    return watermark_ms is not None and watermark_ms > last_ms + rules.gap_ms + rules.grace_ms


def close(session: Session, visitor: str, cause: Cause, rules: WindowRules) -> ClosedSession:
    """The record of a session that is over."""
    actions = tuple(click.action for click in session.clicks)
    return ClosedSession(
        session=session.id,
        visitor=visitor,
        items=session.items,
        times=tuple(click.time_ms for click in session.clicks),
        start=session.clicks[0].time_ms,
        end=session.last_ms,
        cause=cause,
        clicks=session.total,
        duplicates=session.duplicates,
        overlong=session.total > rules.max_clicks,
        actions=actions if any(actions) else (),
    )


def as_of(session: Session, offset: int) -> tuple[str, ...]:
    """The session's items as they were when the click at ``offset`` had been applied, in time order."""
    return tuple(click.item for click in session.clicks if click.offset <= offset)


def _open(click: Click, place: Place) -> Session:
    held = HeldClick(click.time_ms, place.offset, click.item, click.id, click.action)
    return Session(f"{place.partition}-{place.offset}", (held,), click.time_ms)


def _insert(clicks: tuple[HeldClick, ...], click: Click, place: Place) -> tuple[HeldClick, ...]:
    held = HeldClick(click.time_ms, place.offset, click.item, click.id, click.action)
    if clicks[-1].time_ms <= held.time_ms:  # as nearly every click
        return (*clicks, held)
    at = bisect_right(clicks, held.time_ms, key=lambda other: other.time_ms)
    return (*clicks[:at], held, *clicks[at:])


def _holds_id(session: Session, click_id: str | None) -> bool:
    return click_id is not None and any(click.id == click_id for click in session.clicks)
