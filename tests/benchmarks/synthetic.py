"""Generated sessions of any size for the benchmark of the engine: seeded, vectorised, bounded in memory.

The laws:

* A session has 2 clicks or more, 4 on average: 2 plus a geometric number (of failures before a success of
  chance 1/3).
* The item at popularity rank r (1 is the most popular) is drawn with weight ``r ** -0.9``.
* Items are in clusters of 200 of neighbouring ranks. A session has one cluster, that of an item drawn by
  popularity; each of its clicks is drawn from that cluster with probability .8 and from all items else, by
  popularity in both cases. So the popularity of all clicks together keeps its law.
* The numbers of items say nothing of their rank: they are dealt by a seeded shuffle.
* One session ends every tenth of a second.

The catalogue is of 100,000 items at 1 million clicks and grows with the clicks to the power .7: 501 k and
1.757 M items at 10 and 60 million.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

SHORTEST: Final = 2
MEAN_LENGTH: Final = 4.0
POPULARITY_POWER: Final = 0.9
CLUSTER_ITEMS: Final = 200
CLUSTER_SHARE: Final = 0.8
SECONDS_A_SESSION: Final = 0.1

CATALOGUE: Final = 100_000
CATALOGUE_POWER: Final = 0.7

#: Sessions that are drawn together; the stream depends on it, so it is part of the law.
BLOCK_SESSIONS: Final = 1 << 17

#: Number of a block that no stream comes to: what is drawn from it is fresh.
FRESH: Final = 1 << 20


class Block(NamedTuple):
    """Some sessions, one after the other.

    Args:
        items: int32, items of all sessions, each session's in the order of time.
        starts: int64, (sessions + 1,) where each session's items begin.
        ends_s: float64, (sessions,) time of each one's last click, seconds, rising.
    """

    items: np.ndarray
    starts: np.ndarray
    ends_s: np.ndarray


def catalogue_of(clicks):
    """How many items a stream of so many clicks is drawn from; 2 at least."""
    return max(2, round(CATALOGUE * (clicks / 1e6) ** CATALOGUE_POWER))


class Synthetic:
    """A stream of sessions over ``items`` items. The same arguments give the same stream.

    Args:
        items: size of the catalogue, 1 at least.
        seed: of the stream.
    """

    def __init__(self, items, seed=1):
        self.items = items
        self.seed = seed
        weights = np.arange(1, items + 1, dtype=np.float64) ** -POPULARITY_POWER
        self._chance_up_to = np.concatenate(([0.0], np.cumsum(weights)))
        self._chance_up_to /= self._chance_up_to[-1]
        self._number_of_rank = np.random.default_rng([seed, items]).permutation(items).astype(np.int32)

    def blocks(self, clicks) -> Iterator[Block]:
        """The stream's first sessions, until they have ``clicks`` clicks or a few more."""
        for number, sessions in self._sizes(clicks):
            items, starts, ends_s = self.block(number)
            yield Block(items[: starts[sessions]], starts[: sessions + 1], ends_s[:sessions])

    def block(self, number) -> Block:
        """:data:`BLOCK_SESSIONS` sessions of the stream, by the number of the block from 0."""
        chance = self._chance(number)
        items, starts = self._draw(chance, _lengths(chance))
        ends_s = (number * BLOCK_SESSIONS + np.arange(1, BLOCK_SESSIONS + 1)) * SECONDS_A_SESSION
        return Block(items, starts, ends_s)

    def sessions(self, clicks) -> int:
        """How many sessions :meth:`blocks` gives for so many clicks; only their lengths are drawn."""
        return sum(sessions for _, sessions in self._sizes(clicks))

    def queries(self, n, after_sessions):
        """``n`` queries: the beginnings of fresh sessions of the same law, shortest first in each session.

        Each has all of a session's clicks but 1 or more at the end, so there is a next click.

        Args:
            n: how many.
            after_sessions: sessions that were streamed; the queries come right after them.

        Returns:
            A list of (names of items, time in seconds); item i is named ``str(i)``.
        """
        chance = self._chance(FRESH)
        items, starts = self._draw(chance, _lengths(chance, min(n, BLOCK_SESSIONS)))
        names = list(map(str, items.tolist()))
        time_s = (after_sessions + 1) * SECONDS_A_SESSION
        prefixes = [
            (tuple(names[start:end]), time_s)
            for start, after in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
            for end in range(start + 1, after)
        ]
        return prefixes[:n]

    def _chance(self, block):
        return np.random.default_rng([self.seed, self.items, block])

    def _sizes(self, clicks):
        """Number of each block, and how many of its sessions are needed."""
        number = 0
        while clicks > 0:
            total = np.cumsum(_lengths(self._chance(number)))
            yield number, min(BLOCK_SESSIONS, int(np.searchsorted(total, clicks)) + 1)
            clicks -= int(total[-1])
            number += 1

    def _draw(self, chance, lengths):
        starts = np.concatenate(([0], np.cumsum(lengths)))
        home = self._rank(chance.random(len(lengths))) // CLUSTER_ITEMS * CLUSTER_ITEMS
        home = np.repeat(home, lengths)
        low = self._chance_up_to[home]
        high = self._chance_up_to[np.minimum(home + CLUSTER_ITEMS, self.items)]
        drawn, at_home = chance.random(len(home)), chance.random(len(home)) < CLUSTER_SHARE
        ranks = self._rank(np.where(at_home, low + drawn * (high - low), drawn))
        return self._number_of_rank[ranks], starts

    def _rank(self, drawn):
        """Ranks from 0 for numbers drawn evenly from 0 to 1."""
        return np.minimum(np.searchsorted(self._chance_up_to[1:], drawn, side="right"), self.items - 1)


def _lengths(chance, sessions=BLOCK_SESSIONS):
    return SHORTEST - 1 + chance.geometric(1 / (MEAN_LENGTH - SHORTEST + 1), sessions)
