"""The heart: one run of a partition's records in, and all that follows from it out, in plain values.

The worker, the evaluator, the property tests and the benchmark all call :func:`advance_run`; what differs is
only where the records come from and where the result goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from core.errors import BadClickError
from core.identity import visitor_key
from core.window.clicks import Click, Forget, parse_click, parse_forget
from core.window.forgetting import Forgotten
from core.window.sessions import (
    Advance,
    Cause,
    ClosedSession,
    HeldClick,
    Outcome,
    Place,
    Session,
    WindowRules,
    advance,
    as_of,
    close,
    is_over,
    is_over_at,
)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record of the input topic.

    Attributes:
        offset: of the record.
        append_ms: when it was appended, milliseconds since 1970.
        key: as it came.
        value: as it came.
        moved_from: ``partition-offset`` of the record that this one is a copy of; None: it is no copy.
        forgets: it is no click, but asks to forget the visitor that is its key.
        replayed_from: ``partition-offset`` of a dead letter's record that this one is a copy of; None: of
            none.
    """

    offset: int
    append_ms: int
    key: bytes | None
    value: bytes | None
    moved_from: str | None = None
    forgets: bool = False
    replayed_from: str | None = None


#: Outcomes of clicks that an open session holds, or an earlier click of their id.
_ANSWERED_AGAIN: Final[frozenset[Outcome]] = frozenset({"joined", "opened", "duplicate"})

#: As the last click of a visitor that has no session: over at any watermark.
LONG_AGO_MS: Final = -(1 << 62)


class VisitorState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the table holds for a visitor: the offset last applied to it, and the open session.

    Without a session the visitor was forgotten there; the next sweep deletes such a state. It takes the place
    of the session for as long as a crash could lose the deletion.
    """

    applied: int
    session: Session | None

    @property
    def last_ms(self) -> int:
        """Time of the open session's last click."""
        return self.session.last_ms if self.session else LONG_AGO_MS


class PartitionState(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the table holds for a partition: everything up to ``applied`` is done; -1 before the first run.

    ``answered`` says up to where all answers are known to be out, where that is less: see
    :func:`unconfirmed`. None: up to ``applied``.
    """

    applied: int = -1
    watermark_ms: int | None = None
    answered: int | None = None

    @property
    def answered_until(self) -> int:
        """The offset up to which all answers are known to be out."""
        return self.applied if self.answered is None else self.answered


class Parsed(NamedTuple):
    """A record and what it was read as."""

    record: Record
    click: Click | Forget | BadClickError


class Query(msgspec.Struct, frozen=True, gc=False):
    """A click that wants an answer: the session as it was when the click had been applied."""

    visitor: str
    item: str
    offset: int
    time_ms: int
    append_ms: int
    session: str
    items: tuple[str, ...]
    outcome: str


class DeadLetter(NamedTuple):
    """A record that ends here: which one, why (a label), and a sentence for a person."""

    record: Record
    reason: str
    detail: str


class RunResult(NamedTuple):
    """What a run did.

    Attributes:
        visitors: state of each visitor that changed; None, from :func:`close_run` only: nothing is held any
            more.
        closed: sessions that closed, in the order in which they closed.
        queries: clicks to answer, in log order.
        dead: records that are no clicks, late, or of the future, in log order.
        partition: the partition's state after the run.
        outcomes: how many records had which outcome.
        forgotten: requests to forget a visitor, in log order. Of a visitor's sessions in ``closed`` they
            concern those of earlier offsets, so it makes no difference which of the two is published first.
    """

    visitors: dict[str, VisitorState | None]
    closed: list[ClosedSession]
    queries: list[Query]
    dead: list[DeadLetter]
    partition: PartitionState
    outcomes: Counter[str]
    forgotten: list[Forgotten]


def nothing_done(partition: PartitionState) -> RunResult:
    """A run that did nothing, to be added to."""
    return RunResult({}, [], [], [], partition, Counter(), [])


def parse_run(records: Iterable[Record], max_bytes: int) -> list[Parsed]:
    """Read each record as a click or a request to forget; a bad one is kept with its error.

    A copy whose click has no id gets one by what it is a copy of: a click that was copied twice is one click.
    """
    parsed = []
    for record in records:
        click: Click | Forget | BadClickError
        try:
            if record.forgets:
                click = parse_forget(record.key)
            else:
                click = parse_click(record.value, max_bytes)
                if click.id is None and (record.moved_from or record.replayed_from):
                    click = msgspec.structs.replace(click, id=_id_of_copy(record))
        except BadClickError as error:
            click = error
        parsed.append(Parsed(record, click))
    return parsed


def _id_of_copy(record: Record) -> str:
    moved = f"moved from {record.moved_from}"
    return moved if record.moved_from else f"replayed from {record.replayed_from}"


def visitors_of(run: Iterable[Parsed]) -> set[str]:
    """The visitors whose state the run needs."""
    return {parsed.click.visitor for parsed in run if not isinstance(parsed.click, BadClickError)}


def advance_run(
    partition: int,
    run: Sequence[Parsed],
    before: PartitionState,
    visitors: Mapping[str, VisitorState],
    rules: WindowRules,
) -> RunResult:
    """Apply a run of one partition's records, in the order of the log.

    A click at or below the offset that the partition or its visitor has applied is a replay: it changes
    nothing. It is answered again, with the session as it was then, where its session is still open (not
    over, swept or not) and holds it or an earlier click of its id; a click beyond ``max_clicks`` is not held,
    hence not answered again.

    A request to forget ends the visitor's open session without closing it: it was over before, or it is
    dropped. What comes after it is a new visitor's.

    Args:
        partition: the input partition.
        run: its records, by ascending offset.
        before: the partition's state before the run.
        visitors: state of the run's visitors; a visitor without any is absent.
        rules: the window's parameters.
    """
    states = dict(visitors)
    result = nothing_done(before)
    changed = result.visitors
    watermark_ms, applied, answered = before.watermark_ms, before.applied, before.answered_until
    for record, click in run:
        if isinstance(click, BadClickError):
            if record.offset > applied:
                result.dead.append(DeadLetter(record, click.reason, click.detail))
            continue
        state = states.get(click.visitor)
        if record.offset <= applied or (state is not None and record.offset <= state.applied):
            result.outcomes["replay"] += 1
            session = state.session if state else None
            if session and isinstance(click, Click) and not is_over(session, watermark_ms, rules):
                result.queries.extend(_answer_again(session, record, click, rules))
        elif isinstance(click, Forget):
            result.forgotten.append(_forgotten(partition, record, click))
            result.outcomes["forget"] += 1
            if state:
                if state.session and is_over(state.session, watermark_ms, rules):
                    result.closed.append(close(state.session, click.visitor, "watermark", rules))
                states[click.visitor] = changed[click.visitor] = VisitorState(record.offset, None)
        else:
            place = Place(partition, record.offset, record.append_ms)
            step = advance(state.session if state else None, click, place, watermark_ms, rules)
            if step.session:
                states[click.visitor] = changed[click.visitor] = VisitorState(record.offset, step.session)
            _note(result, record, click, step)
        # A replayed click moves the watermark as it did the first time: a run that was only half written
        # is decided again from the state before it.
        if record.offset > applied and isinstance(click, Click) and not _is_future(click, record, rules):
            watermark_ms = click.time_ms if watermark_ms is None else max(watermark_ms, click.time_ms)
    if run:
        applied, answered = (max(offset, run[-1].record.offset) for offset in (applied, answered))
    return result._replace(partition=_partition_state(applied, watermark_ms, answered))


def close_run(
    visitors: Mapping[str, VisitorState], partition: PartitionState, rules: WindowRules, cause: Cause
) -> RunResult:
    """Close sessions without a click: those that are over (``watermark``), or all given (``idle``)."""
    result = nothing_done(partition)
    for visitor, state in visitors.items():
        if state.session is None:
            # Not one that a half-written run has left: the partition has yet to come to the request.
            if state.applied <= partition.applied:
                result.visitors[visitor] = None
            continue
        over = is_over(state.session, partition.watermark_ms, rules)
        if over or cause == "idle":
            result.visitors[visitor] = None
            result.closed.append(close(state.session, visitor, "watermark" if over else cause, rules))
    return result


def comes_again(result: RunResult, rules: WindowRules) -> bool:
    """Whether all that a run sends comes again when its records are read again, its states stored or not.

    So it is where it sends nothing but answers to clicks of sessions that stay open. A crash that stores
    states and loses what was to be sent then loses nothing.
    """
    if result.closed or result.dead or result.outcomes.keys() - _ANSWERED_AGAIN:
        return False
    watermark_ms = result.partition.watermark_ms
    return not any(
        state is None or is_over_at(state.last_ms, watermark_ms, rules) for state in result.visitors.values()
    )


def unconfirmed(after: PartitionState, before: PartitionState) -> PartitionState:
    """What is stored of a partition by a run whose answers are sent together with it.

    A crash may store it and lose the answers. It says so, for a successor that answers no click twice and
    would take the run for done: see :mod:`stream_app.worker.transactions`.

    Args:
        after: the run, once its answers are out.
        before: the run.
    """
    return _partition_state(after.applied, after.watermark_ms, before.answered_until)


def _partition_state(applied: int, watermark_ms: int | None, answered: int) -> PartitionState:
    return PartitionState(applied, watermark_ms, answered if answered < applied else None)


def _note(result: RunResult, record: Record, click: Click, step: Advance) -> None:
    """Add what one click did to the run's result."""
    result.outcomes[step.outcome] += 1
    if step.closed:
        result.closed.append(step.closed)
    if step.outcome == "late":
        result.dead.append(DeadLetter(record, "late", f"time {click.time_ms} ms is behind the watermark"))
    elif step.outcome == "future":
        result.dead.append(
            DeadLetter(record, "future", f"time {click.time_ms} ms, appended at {record.append_ms} ms")
        )
    elif step.session:
        result.queries.append(_query(step.session, record, click, step.session.items, step.outcome))


def _forgotten(partition: int, record: Record, request: Forget) -> Forgotten:
    key = visitor_key(request.visitor)
    return Forgotten(f"{key:016x}", partition, record.offset, record.append_ms)


def _answer_again(session: Session, record: Record, click: Click, rules: WindowRules) -> list[Query]:
    def is_it(held: HeldClick) -> bool:
        again = click.id is not None and held.id == click.id
        return held.offset == record.offset or (again and held.offset < record.offset)

    if _is_future(click, record, rules) or not any(map(is_it, session.clicks)):
        return []
    return [_query(session, record, click, as_of(session, record.offset), "replay")]


def _query(session: Session, record: Record, click: Click, items: tuple[str, ...], outcome: str) -> Query:
    return Query(
        click.visitor,
        click.item,
        record.offset,
        click.time_ms,
        record.append_ms,
        session.id,
        items,
        outcome,
    )


def _is_future(click: Click, record: Record, rules: WindowRules) -> bool:
    return click.time_ms > record.append_ms + rules.future_ms
