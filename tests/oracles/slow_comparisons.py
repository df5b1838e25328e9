"""The comparisons, slow and obvious: dictionaries and dense matrices, a loop for each sum of a formula."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

DAY_MS = 86_400_000


def names_of(sessions) -> list[str]:
    """Items by sessions that hold them, then by how late they were last seen, then by name."""
    support = Counter(item for session in sessions for item in set(session.items))
    last = {item: at for at, session in enumerate(sessions) for item in session.items}
    return sorted(support, key=lambda item: (-support[item], -last[item], item))


def query_weights(items, names, decay) -> dict[str, float]:
    """The weight of each known item of a query."""
    weights: dict[str, float] = {}
    for distance, item in enumerate(reversed(items)):
        if item in names and not decay:
            weights[item] = 1.0
        elif item in names:
            weights[item] = weights.get(item, 0.0) + math.exp(-distance / decay)
    return weights


def cosine(left, right) -> float:
    """Of two vectors as dictionaries; 0 where one is empty."""
    dot = sum(value * right[key] for key, value in left.items() if key in right)
    lengths = math.sqrt(sum(v * v for v in left.values()) * sum(v * v for v in right.values()))
    return dot / lengths if lengths else 0.0


def answer(scores, items, sessions, exclude, n) -> list[str]:
    """The best n of all items but the barred: by score where it is above 0, then by popularity."""
    barred = {"none": [], "current": items[-1:], "session": items}[exclude]
    names = [name for name in names_of(sessions) if name not in barred]
    return sorted(names, key=lambda name: (-max(round(scores.get(name, 0.0), 9), 0.0), names.index(name)))[:n]


def user_cf(sessions, items, *, k, counts, decay) -> dict[str, float]:
    """Sum of the similarities of the k nearest sessions that hold an item; of equal ones the newest."""
    known = set(names_of(sessions))
    query = query_weights(items, known, decay)
    if counts and not decay:
        query = dict(Counter(item for item in items if item in known))
    vectors = [dict(Counter(s.items)) if counts else dict.fromkeys(s.items, 1) for s in sessions]
    similar = [(cosine(query, vector), at) for at, vector in enumerate(vectors)]
    nearest = sorted((s for s in similar if s[0] > 0), key=lambda s: (-round(s[0], 12), -s[1]))[:k]
    scores: Counter[str] = Counter()
    for similarity, at in nearest:
        for item in vectors[at]:
            scores[item] += similarity
    return scores


def item_cf(sessions, items, *, k, decay) -> dict[str, float]:
    """Sum of an item's similarities to those items of the query that have it among their k + 1 nearest."""
    names = names_of(sessions)
    vectors = {name: {at: 1 for at, s in enumerate(sessions) if name in s.items} for name in names}
    scores: Counter[str] = Counter()
    for item, weight in query_weights(items, names, decay).items():
        similar = [(cosine(vectors[item], vectors[other]), at) for at, other in enumerate(names)]
        nearest = sorted((s for s in similar if s[0] > 0), key=lambda s: (-round(s[0], 12), s[1]))[: k + 1]
        for similarity, at in nearest:
            scores[names[at]] += weight * similarity
    return scores


def ease_matrix(sessions, regularisation, min_support=1):
    """B of EASE over the names that enough sessions hold, in double precision."""
    names = names_of(sessions)
    x = np.array([[name in s.items for name in names] for s in sessions], float)
    kept = x.sum(axis=0) >= min_support
    p = np.linalg.inv(x[:, kept].T @ x[:, kept] + regularisation * np.eye(kept.sum()))
    b = np.zeros((len(names), len(names)))
    b[np.ix_(kept, kept)] = np.eye(kept.sum()) - p @ np.diag(1 / np.diag(p))
    return names, b


def slist_matrix(sessions, alpha, regularisation, position_decay, recency_days, min_support=1):
    """B of SLIST, each row of X, X1, S and T written down, in double precision."""
    names = names_of(sessions)
    newest = max(s.end for s in sessions)
    x, x1, w1, s_rows, t_rows, w2 = [], [], [], [], [], []
    for session in sessions:
        age = newest - session.end
        weight = math.exp(-age / (recency_days * DAY_MS)) if recency_days else 1.0
        row = np.array([name in session.items for name in names], float)
        x.append(row)
        x1.append(row / row.sum())
        w1.append(weight)
        for at in range(len(session.items) - 1):
            here, after = np.zeros(len(names)), np.zeros(len(names))
            here[names.index(session.items[at])] = 1
            for later in range(at + 1, len(session.items)):
                after[names.index(session.items[later])] += math.exp(-(later - at - 1) / position_decay)
            s_rows.append(here)
            t_rows.append(after)
            w2.append(weight)
    x, x1, w1 = np.array(x), np.array(x1), np.diag(w1)
    s, t = (np.array(rows).reshape(-1, len(names)) for rows in (s_rows, t_rows))
    w2 = np.diag(w2).reshape(len(s), len(s))
    g = alpha * x1.T @ w1 @ x1 + (1 - alpha) * s.T @ w2 @ s + regularisation * np.eye(len(names))
    h = alpha * x1.T @ w1 @ x + (1 - alpha) * s.T @ w2 @ t
    rare = x.sum(axis=0) < min_support
    apart = (rare[:, np.newaxis] | rare) & ~np.eye(len(names), dtype=bool)
    return names, np.linalg.solve(np.where(apart, 0, g), h)
