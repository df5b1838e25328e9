"""The package ``wsknn`` as the oracle of core.wsknn: what it answers, and how the two lists are compared.

Lists of two implementations differ where scores tie, and in the last bits of a score, for sums are made in
another order. So scores are compared to nine digits, and an item against its own score in the other's list of
everything; where the k-th and the next neighbour are equally similar, k is raised until they are not, for
either choice would be right.
"""

from __future__ import annotations

import wsknn

#: A list of everything.
EVERYTHING = 1000

_SAME = 1e-9


class Package:
    """The package's model, fitted.

    Args:
        sessions: as the package takes them.
        items: its map of items; None: made from the sessions.
        settings: of its model.
    """

    def __init__(self, sessions, items=None, **settings) -> None:
        self.model = wsknn.WSKNN(**settings)
        self.model.fit(sessions, items)

    def recommend(self, query, n):
        """Its n best items; none where it says None. What it ranks with a score of 0 is left out."""
        self.model.n_of_recommendations = n
        return [(item, score) for item, score in self.model.recommend(query) or () if score > 0]

    def unambiguous_neighbours(self, query, k):
        """The smallest number of neighbours from k on that is no choice among equally similar ones."""
        candidates = self.model._possible_neighbors(query)
        similar = sorted((s for _, s in self.model._calculate_similarity(query[0], candidates)), reverse=True)
        while k < len(similar) and similar[k - 1] - similar[k] < _SAME:
            k += 1
        return k


def assert_same(ours, package, query, k, n):
    """Our model answers as the package does: all items with their scores, and the n best by their scores.

    Args:
        ours: our model with the package's settings.
        package: the package's.
        query: a session.
        k: neighbours.
        n: recommendations.
    """
    k = package.unambiguous_neighbours(query, k)
    package.model.number_of_closest_neighbors = k
    everything = package.recommend(query, EVERYTHING)
    settings = {"number_of_neighbors": k}
    mine = ours.recommend(query, settings | {"number_of_recommendations": EVERYTHING})
    assert close([score for _, score in mine], [score for _, score in everything])
    if len(everything) < EVERYTHING:
        by_item = dict(everything)
        assert by_item.keys() == dict(mine).keys()
        assert close([score for _, score in mine], [by_item[item] for item, _ in mine])
    best = ours.recommend(query, settings | {"number_of_recommendations": n})
    assert best == mine[:n]
    assert close([score for _, score in best], [score for _, score in package.recommend(query, n)])


def close(some, others):
    """Whether two lists of scores are the same but for the last bits."""
    return len(some) == len(others) and all(
        abs(a - b) <= _SAME * max(1.0, abs(b)) for a, b in zip(some, others, strict=True)
    )
