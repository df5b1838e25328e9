"""The slow, obvious twin of the scorer: plain Python over plain lists, straight from core.params' text.

It keeps sums in the same order as the kernels (query items and sessions from the newest; neighbours as
found), because floating-point sums depend on it and ties must fall the same way.
"""

from __future__ import annotations

import math

from core.params import ScoringParameters
from core.scoring import Recommended


def slow_score(sessions, query, time_s, parameters: ScoringParameters) -> list[Recommended]:
    """Answer one query.

    Args:
        sessions: the held sessions as (items, end in seconds), oldest first.
        query: the session's items in the order of time.
        time_s: time of the query.
        parameters: of the method.
    """
    p = parameters
    holding = {}
    for number, (items, _) in enumerate(sessions):
        for item in dict.fromkeys(items):
            holding.setdefault(item, []).append(number)

    considered = [item for item in dict.fromkeys(reversed(query)) if item in holding][: p.last_clicks]
    barred = {"none": set(), "current": set(query[-1:]), "session": set(query)}[p.exclude]

    def idf(item):
        return math.log(len(sessions) / len(holding[item]))

    def rank(scores, taken, most):
        def order(item):
            newest = holding[item][-1]
            last = max(i for i, other in enumerate(sessions[newest][0]) if other == item)
            return (-scores[item], -newest, -last)

        return sorted((item for item in scores if item not in taken), key=order)[:most]

    # Neighbours.
    similarity = {}
    for distance, item in enumerate(considered):
        weight = position_weight(p.position_weight, distance, len(considered), p.position_decay)
        if p.idf_similarity > 0:
            weight *= idf(item) ** p.idf_similarity
        if weight > 0:
            for number in reversed(holding[item][-p.sessions_per_item :]):
                similarity[number] = similarity.get(number, 0.0) + weight
    for number in similarity:
        items, end = sessions[number]
        if p.cosine:
            similarity[number] /= math.sqrt(float(len(considered)) * len(items))
        if p.recency_s > 0:
            similarity[number] *= math.exp(-max(0.0, time_s - end) / p.recency_s)
    best = set(sorted(similarity, key=lambda number: (-similarity[number], -number))[: p.neighbours])
    neighbours = [number for number in similarity if number in best]

    # Scores.
    scores, mass = {}, 0.0
    for number in neighbours:
        items = sessions[number][0]
        shared = min(considered.index(item) for item in items if item in considered)
        anchor = max(i for i, item in enumerate(items) if item == considered[shared])
        base = similarity[number] * position_weight(p.score_weight, shared, len(considered), p.score_decay)
        mass += base
        last_places = {item: i for i, item in enumerate(items)}
        for item, place in sorted(last_places.items(), key=lambda pair: -pair[1]):
            if item in barred:
                continue
            score = base
            if p.distance_decay > 0:
                score *= math.exp(-abs(place - anchor) / p.distance_decay)
            if place < anchor:
                score *= p.before_weight
            if score > 0 or item in scores:
                scores[item] = scores.get(item, 0.0) + score
    if p.idf_score > 0:
        for item in scores:
            scores[item] *= 1.0 + p.idf_score * idf(item)
    if p.popularity_prior > 0 and neighbours:
        everywhere = slow_popular([(("everywhere", *items), end) for items, end in sessions], p, 1)
        each = p.popularity_prior * (mass / len(neighbours)) / everywhere[0][1]
        for item, share in slow_popular(sessions, p, 200):
            if item not in barred and (each * share > 0 or item in scores):
                scores[item] = scores.get(item, 0.0) + each * share
    answer = []
    for item in rank(scores, (), p.recommendations):
        votes = [sum({item, other} <= set(sessions[n][0]) for n in neighbours) for other in considered]
        voting = [i for i in range(len(considered)) if votes[i] > 0]
        if not voting:
            answer.append(Recommended(item, scores[item], "popular", len(holding[item])))
            continue
        others = [i for i in voting if considered[i] != item] or voting
        top = max(others, key=lambda i: (votes[i], -i))
        answer.append(Recommended(item, scores[item], "neighbours", votes[top], considered[top]))

    # Rules fill up.
    if len(answer) < p.recommendations:
        seeds = (considered[:1] + [r.item for r in answer])[:10]
        taken = barred | {r.item for r in answer}
        scores, seed_of = {}, {}
        for number, seed in enumerate(seeds):
            for session in reversed(holding[seed][-p.rule_sessions :]):
                for item, distance in followers(sessions[session][0], seed, p.rule_steps):
                    if item not in taken:
                        scores[item] = scores.get(item, 0.0) + 1.0 / ((number + 1) * distance)
                        seed_of.setdefault(item, seed)
        for item in rank(scores, taken, p.recommendations - len(answer)):
            seed = seed_of[item]
            count = sum(
                any(item == other for other, _ in followers(sessions[n][0], seed, p.rule_steps))
                for n in holding[seed][-p.rule_sessions :]
            )
            answer.append(Recommended(item, scores[item], "rules", count, seed))

    # Popularity fills up the rest.
    taken = barred | {r.item for r in answer}
    popular = slow_popular(sessions, p, p.recommendations + max(1, len(query)))
    for item, score in popular:
        if len(answer) < p.recommendations and item not in taken:
            answer.append(Recommended(item, score, "popular", len(holding[item])))
    return answer


def slow_popular(sessions, parameters, size):
    """Items by decayed popularity with their scores, best first; at most ``size``."""
    scores, newest_of = {}, {}
    weights = [max(0.5 ** (age / parameters.popularity_half_life), 1e-300) for age in range(len(sessions))]
    window = parameters.popularity_sessions
    for age, (items, _) in enumerate(reversed(sessions)):
        for item in set(items):
            if age < window:
                scores[item] = scores.get(item, 0.0) + weights[age]
            else:
                scores.setdefault(item, weights[window - 1])
            place = max(i for i, other in enumerate(items) if other == item)
            newest_of.setdefault(item, (age, -place))
    ranked = sorted(scores, key=lambda item: (-scores[item], *newest_of[item]))
    return [(item, scores[item]) for item in ranked[:size]]


def followers(items, seed, steps):
    """Distinct items within ``steps`` positions after the seed's last place, with their first distance."""
    anchor = max(i for i, item in enumerate(items) if item == seed)
    near = items[anchor + 1 : anchor + 1 + steps]
    return [(item, near.index(item) + 1) for item in dict.fromkeys(near)]


def position_weight(kind, distance, n, decay):
    """Weight of the query item at ``distance`` from the newest of ``n``."""
    return {
        "same": lambda: 1.0,
        "linear": lambda: max(0.0, 1.0 - 0.1 * distance),
        "quadratic": lambda: ((n - distance) / n) ** 2,
        "log": lambda: min(1.0, 1.0 / math.log10(distance + 1.7)),
        "div": lambda: 1.0 / (distance + 1),
        "exponential": lambda: math.exp(-distance / decay),
    }[kind]()
