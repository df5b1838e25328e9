"""Sessions whose best answer is known: each item has one that mostly follows it, so only the last counts."""

from __future__ import annotations

import random

from core.window.sessions import ClosedSession

FIRST_MS = 1_396_860_000_000
STEP_MS = 60_000


def chains(sessions: int, seed: int, items: int = 200, follows: float = 0.5) -> list[ClosedSession]:
    """Sessions of 3 to 8 clicks, one begins each minute; sorted by end.

    Args:
        sessions: how many.
        seed: what they are drawn from.
        items: how many items there are.
        follows: share of clicks that follow the chain; the others are on any item.
    """
    drawn = random.Random(seed)  # noqa: S311 -- a made-up stream
    after = list(range(items))
    drawn.shuffle(after)
    made = []
    for number in range(sessions):
        clicked = [drawn.randrange(items)]
        for _ in range(drawn.randint(2, 7)):
            clicked.append(after[clicked[-1]] if drawn.random() < follows else drawn.randrange(items))
        start = FIRST_MS + number * STEP_MS
        times = tuple(start + 1000 * place for place in range(len(clicked)))
        made.append(
            ClosedSession(
                f"0-{number}",
                f"v{number}",
                tuple(f"i{item}" for item in clicked),
                times,
                start,
                times[-1],
                "gap",
                len(clicked),
            )
        )
    return made


def as_tsv(sessions: list[ClosedSession]) -> str:
    """The same as a file with a header: session, item and time in seconds."""
    rows = [
        f"{session.visitor}\t{item}\t{time_ms / 1000:.3f}"
        for session in sessions
        for item, time_ms in zip(session.items, session.times, strict=True)
    ]
    return "\n".join(["SessionId\tItemId\tTime", *rows]) + "\n"
