"""VMIS-kNN as its paper describes it, slowly: an index of newest sessions, a bounded heap, an early stop.

Kersbergen, Sprangers and Schelter, "Serenade: low-latency session-based recommendation in e-commerce at
scale", SIGMOD 2022. The engine finds the same neighbours in another way: it merges posting lists by age.
"""

from __future__ import annotations

import heapq
import math


class SlowVmis:
    """Recommends from held sessions.

    Args:
        sessions: items of each session, oldest session first.
        m: newest sessions that an item remembers, and sessions that a query compares.
        k: neighbours.
        last: newest clicks of the query that are used.
        idf: whether the score is multiplied by the idf.
    """

    def __init__(self, sessions, m, k, last, *, idf=True) -> None:
        self.sessions, self.m, self.k, self.last = sessions, m, k, last
        newest: dict = {}
        for number, items in enumerate(sessions):
            for item in set(items):
                newest.setdefault(item, []).append(number)
        self.newest = {item: numbers[::-1][:m] for item, numbers in newest.items()}
        self.idf = {
            item: math.log(len(sessions) / len(numbers)) if idf else 1.0 for item, numbers in newest.items()
        }

    def neighbours(self, evolving):
        """The k most similar of the m newest sessions that share an item: number → similarity."""
        similarity: dict = {}
        by_age: list = []  # heap, the oldest session that is compared on top
        seen = set()
        for back, item in enumerate(reversed(evolving)):
            if item in seen:
                continue  # an item counts where it was clicked last
            seen.add(item)
            weight = (len(evolving) - back) / len(evolving)
            for session in self.newest.get(item, ()):
                if session in similarity:
                    similarity[session] += weight
                elif len(similarity) < self.m:
                    similarity[session] = weight
                    heapq.heappush(by_age, session)
                elif session > by_age[0]:
                    del similarity[heapq.heapreplace(by_age, session)]
                    similarity[session] = weight
                else:
                    break  # all that follow are older still
        best = sorted(similarity, key=lambda session: (-similarity[session], -session))[: self.k]
        return {session: similarity[session] for session in best}

    def scores(self, query):
        """The score of every item of a neighbour, without the current item."""
        evolving = list(query)[-self.last :]
        scores: dict = {}
        for session, similarity in self.neighbours(evolving).items():
            items = set(self.sessions[session])
            step = next(s for s, item in enumerate(reversed(evolving), 1) if item in items)
            for item in items:
                score = (1.0 - 0.1 * step) * similarity * self.idf[item]
                scores[item] = scores.get(item, 0.0) + score
        scores.pop(query[-1] if query else None, None)
        return scores
