"""The slow, obvious twin of the window: decides from the whole log at once, and keeps no running state.

For each visitor the clicks that count are dealt, in log order, onto piles; a pile is a session. Whatever a
decision needs (the pile's last time, the clicks that it holds, the watermark) is looked up in the piles and
the log anew each time. What closed a pile is read off at the end, from what came after it.
"""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import NamedTuple

from core.window.clicks import Click, Forget
from core.window.sessions import ClosedSession

FOREVER = float("inf")


class Verdict(NamedTuple):
    """What the whole log comes to.

    Attributes:
        sessions: all sessions by id, those still open at the end closed by ``idle``.
        dead: reason of each dead letter by its offset.
        answered: of each click that is answered, its offset: session and items at that moment.
        dropped: clicks of sessions that were open when their visitor was forgotten.
    """

    sessions: dict[str, ClosedSession]
    dead: dict[int, str]
    answered: dict[int, tuple[str, tuple[str, ...]]]
    dropped: int


class Pile:
    """The clicks of one session, in log order: [(offset, click)]."""

    def __init__(self, max_clicks):
        self.max_clicks = max_clicks
        self.counted = []
        self.repeated = []

    @property
    def held(self):
        """The first max_clicks of the log, in time order; sorting keeps the order of the log in ties."""
        return sorted(self.counted[: self.max_clicks], key=lambda entry: entry[1].time_ms)

    @property
    def last_ms(self):
        """The largest time of all its clicks, held or not."""
        return max(click.time_ms for _, click in self.counted)

    def over_at(self, watermark_ms, rules):
        """Whether the watermark is past its last click by more than gap and grace."""
        return watermark_ms is not None and watermark_ms - rules.grace_ms - rules.gap_ms > self.last_ms

    def has_id(self, click_id):
        """Whether a held click has the id."""
        return click_id is not None and click_id in [click.id for _, click in self.held]


def slow_window(partition, log, rules) -> Verdict:
    """Decide a whole log.

    Args:
        partition: number of the input partition.
        log: all its records with what they were read as (core.window.step.Parsed), by ascending offset.
        rules: core.window.sessions.WindowRules.
    """
    dead, believed, forgotten = {}, [], {}
    for record, click in log:
        if isinstance(click, Forget):
            forgotten.setdefault(click.visitor, []).append(record.offset)
        elif not isinstance(click, Click):
            dead[record.offset] = click.reason
        elif click.time_ms - record.append_ms > rules.future_ms:
            dead[record.offset] = "future"
        else:
            believed.append((record.offset, click))

    def watermark_before(offset):
        return max((click.time_ms for other, click in believed if other < offset), default=None)

    sessions, answered, dropped = {}, {}, 0
    # A visitor who was forgotten is another one from then on.
    for visitor, since, until in lives({click.visitor for _, click in believed}, forgotten):
        piles = []
        for offset, click in believed:
            if click.visitor == visitor and since < offset < until:
                verdict = deal(piles, offset, click, watermark_before(offset), rules)
                if verdict == "late":
                    dead[offset] = "late"
                else:
                    pile = piles[-1]
                    items = tuple(held.item for _, held in pile.held)
                    answered[offset] = (f"{partition}-{pile.counted[0][0]}", items)
        for pile, following in zip_longest(piles, piles[1:]):
            at_end = until if following is None else following.counted[0][0]
            over = pile.over_at(watermark_before(at_end), rules)
            if following is None and until < FOREVER and not over:
                dropped += len(pile.counted) + len(pile.repeated)
                continue
            cause = "watermark" if over else "idle" if following is None else "gap"
            closed = record_of(pile, f"{partition}-{pile.counted[0][0]}", visitor, cause)
            sessions[closed.session] = closed
    return Verdict(sessions, dead, answered, dropped)


def lives(visitors, forgotten):
    """Each visitor with the offsets between which it is one and the same."""
    for visitor in visitors:
        cuts = [-1, *forgotten.get(visitor, []), FOREVER]
        yield from ((visitor, since, until) for since, until in pairwise(cuts))


def deal(piles, offset, click, watermark_ms, rules):
    """Put a click onto the last pile or a new one, or call it late."""
    last = piles[-1] if piles and not piles[-1].over_at(watermark_ms, rules) else None
    if last and last.has_id(click.id):
        last.repeated.append((offset, click))
        return "taken"
    if watermark_ms is not None and watermark_ms - click.time_ms > rules.grace_ms:
        return "late"
    if last and last.held[0][1].time_ms - click.time_ms > rules.gap_ms:
        return "late"
    if not last or click.time_ms - last.last_ms > rules.gap_ms:
        piles.append(Pile(rules.max_clicks))
    piles[-1].counted.append((offset, click))
    return "taken"


def record_of(pile, name, visitor, cause):
    held = [click for _, click in pile.held]
    return ClosedSession(
        session=name,
        visitor=visitor,
        items=tuple(click.item for click in held),
        times=tuple(click.time_ms for click in held),
        start=min(click.time_ms for click in held),
        end=pile.last_ms,
        cause=cause,
        clicks=len(pile.counted),
        duplicates=len(pile.repeated),
        overlong=len(pile.counted) > len(held),
        actions=tuple(click.action for click in held) if any(click.action for click in held) else (),
    )
