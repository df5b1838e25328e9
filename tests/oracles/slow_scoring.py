"""The slow, obvious twin of the scorer: plain Python over plain lists, straight from core.params' text.

It keeps sums in the same order as the kernels (query items and sessions from the newest; neighbours as
found), because floating-point sums depend on it and ties must fall the same way.
"""

from __future__ import annotations

import math

from core.params import ScoringParameters
from core.scoring import Recommended


class SlowScorer:
    """Answers from held sessions.

    Args:
        sessions: the held sessions as (items, end in seconds), oldest first.
        parameters: of the method.
        weights: one for each session, for the sampling ``weighted``; minus infinity: never a candidate.

    Attributes:
        scored: how many items of the last answer the method scored, before it was filled.
    """

    def __init__(self, sessions, parameters: ScoringParameters, weights=None) -> None:
        self.sessions, self.p, self.weights = sessions, parameters, weights
        self.scored = 0
        self.holding, self.clicks = {}, {}
        for number, (items, _) in enumerate(sessions):
            for item in dict.fromkeys(items):
                self.holding.setdefault(item, []).append(number)
            for item in items:
                self.clicks[item] = self.clicks.get(item, 0) + 1

    def answer(self, query, time_s) -> list[Recommended]:
        """Answer one query: its items in the order of time, and its time."""
        p = self.p
        query = list(query)
        recent = query[-p.last_clicks :]
        distance = {}  # of the query's distinct items, newest first
        for d, item in enumerate(reversed(recent)):
            if item in self.holding:
                distance.setdefault(item, d)
        barred = {"none": set(), "current": set(query[-1:]), "session": set(query)}[p.exclude]

        neighbours, scores, seeds = [], {}, {}
        if p.neighbour_share > 0:
            neighbours = self.neighbours(distance, len(recent), time_s)
            scores = self.neighbour_scores(neighbours, distance, barred, time_s)
        if p.blends:
            scores, seeds = self.blend(scores, distance, recent, barred)
        if p.repeat_share > 0 and distance:
            self.weigh_repeats(scores, distance, recent)
        held = [set(self.sessions[number][0]) for number, _ in neighbours]
        considered = list(distance)[:64]
        answer = [
            self.explained(item, scores[item], held, considered, seeds, distance)
            for item in self.ranked(scores, ())[: p.recommendations]
        ]
        self.scored = len(answer)
        if not p.fill:
            return answer
        answer += self.fill_by_rules(answer, list(distance)[:1], barred)
        taken = barred | {r.item for r in answer}
        for item, score in slow_popular(self.sessions, p, max(200, p.recommendations + len(query))):
            if len(answer) < p.recommendations and item not in taken:
                answer.append(Recommended(item, score, "popular", len(self.holding[item])))
        return answer

    def idf(self, item):
        """Inverse document frequency of a held item."""
        count = self.clicks[item] if self.p.idf_of == "clicks" else len(self.holding[item])
        return max(0.0, math.log(len(self.sessions)) - math.log(count))

    def trend_weight(self, item, time_s):
        """The trend of an item to its power, the age rounded down to seven bits."""
        holding, power = self.holding[item], self.p.trend_power
        late = max(min(len(holding), 2), len(holding) // 10)
        age_s = max(0, int(max(time_s, 0)) - int(self.sessions[holding[-late]][1])) + 1
        age_s = min(age_s, (1 << 33) - 1)
        lower = max(0, age_s.bit_length() - 7)
        return (age_s >> lower << lower) ** -power * (late / len(holding)) ** power

    def ranked(self, scores, taken):
        """The items that are not taken, best first."""

        def order(item):
            newest = self.holding[item][-1]
            last = max(i for i, other in enumerate(self.sessions[newest][0]) if other == item)
            return (-scores[item], -newest, -last)

        return sorted((item for item in scores if item not in taken), key=order)

    def neighbours(self, distance, clicks, time_s):
        """The k most similar sessions with their similarity, in the order in which they are found."""
        p = self.p
        weight = {}
        for item, d in distance.items():
            weight[item] = position_weight(p.position_weight, d, clicks, p.position_decay)
            if p.idf_similarity > 0:
                weight[item] *= self.idf(item) ** p.idf_similarity
        similarity, shared = {}, {}
        for item in distance:
            if weight[item] > 0:
                for number in reversed(self.holding[item][-p.sessions_per_item :]):
                    similarity[number] = similarity.get(number, 0.0) + weight[item]
                    shared[number] = shared.get(number, 0) + 1
        if self.weights is not None:
            similarity = {n: s for n, s in similarity.items() if self.weights[n] > -math.inf}
        if p.sample_size > 0 and p.sampling == "recent":
            similarity = {n: similarity[n] for n in sorted(similarity, reverse=True)[: p.sample_size]}
        elif p.sample_size > 0:
            key = {
                "common": lambda n: float(shared[n]),
                "random": lambda n: hashed(self.sessions[n][1], time_s),
                "weighted": lambda n: self.weights[n],
            }[p.sampling]
            best = sorted(similarity, key=lambda n: (-key(n), -n))[: p.sample_size]
            similarity = {n: s for n, s in similarity.items() if n in set(best)}
        for number in similarity:
            items, end = self.sessions[number]
            if p.length_power > 0:
                similarity[number] *= len(items) ** -p.length_power
            if p.recency_s > 0:
                similarity[number] *= recency_weight(max(0, int(max(time_s, 0)) - int(end)), p.recency_s)
        best = sorted(similarity, key=lambda n: (-similarity[n], -n))[: p.neighbours]
        kept = [n for n in similarity if n in set(best)]
        return [(n, similarity[n] ** p.similarity_power) for n in kept]

    def neighbour_scores(self, neighbours, distance, barred, time_s):
        """What the neighbours say of the items."""
        p = self.p
        places = {item: place for place, item in enumerate(distance)}
        scores, mass = {}, 0.0
        for number, similarity in neighbours:
            items = self.sessions[number][0]
            newest_shared = min((item for item in items if item in places), key=places.__getitem__)
            anchor = max(i for i, item in enumerate(items) if item == newest_shared)
            base = similarity * step_weight(p.score_weight, distance[newest_shared] + 1, p.score_decay)
            mass += base
            seen = set()
            for place in reversed(range(len(items))):
                item = items[place]
                if item in barred or (item in seen and not p.repeats):
                    continue
                seen.add(item)
                score = base
                if p.distance_decay > 0:
                    score *= math.exp(-abs(place - anchor) / p.distance_decay)
                if place < anchor:
                    score *= p.before_weight
                add(scores, item, score)
        for item, score in scores.items():
            weighed = score
            if p.idf_score > 0 or p.idf_base != 1:
                weighed *= p.idf_base + p.idf_score * self.idf(item)
            if p.popularity_damping > 0:
                weighed *= len(self.holding[item]) ** -p.popularity_damping
            if p.trend_power > 0:
                weighed *= self.trend_weight(item, time_s)
            scores[item] = max(weighed, 1e-300)
        if p.popularity_prior > 0 and neighbours:
            everywhere = slow_popular([(("all", *items), end) for items, end in self.sessions], p, 1)
            each = p.popularity_prior * (mass / len(neighbours)) / everywhere[0][1]
            self.add_popular(scores, each, barred)
        return scores

    def add_popular(self, scores, each, barred):
        """Add the most popular items, each its popularity times ``each``."""
        for item, score in slow_popular(self.sessions, self.p, 200):
            if item not in barred:
                add(scores, item, each * score)

    def blend(self, scores, distance, recent, barred):
        """Add all that has a share; also the items whose rules brought an item first."""
        p, seeds = self.p, {}
        scores = shared_out(scores, p.neighbour_share)
        if p.rule_share > 0 and distance:
            rules = {}
            for item, d in distance.items():
                weight = self.weight_of_seed(item) + p.rule_support
                if d < p.rule_clicks and weight > 0:
                    factor = math.exp(-d / p.rule_click_decay) / weight
                    self.add_rules(rules, item, factor, barred, seeds)
            take_over(scores, shared_out(rules, p.rule_share), seeds)
        if p.reminder_share > 0:
            for at, item in enumerate(recent):
                if item in self.holding and item not in barred:
                    add(scores, item, p.reminder_share * math.exp(-(len(recent) - 1 - at) / p.reminder_decay))
        if p.popular_share > 0 and self.sessions:
            self.add_popular(scores, p.popular_share / slow_popular(self.sessions, p, 1)[0][1], barred)
        if p.further_share > 0:
            best = [(item, scores[item]) for item in self.ranked(scores, ())[: p.further_items]]
            for item, score in best:
                self.follow(item, p.further_share * score, scores, seeds, barred)
        return scores, seeds

    def weigh_repeats(self, scores, distance, recent):
        """Scale the query's items together, to what the session's repeats say."""
        p = self.p
        weight = {item: p.repeat_current if d == 0 else 1.0 for item, d in distance.items()}
        own = sum_of(scores[item] * weight[item] for item in distance if item in scores)
        others = [score for item, score in scores.items() if item not in distance]
        if own == 0 or not others:
            return
        repeats = sum(item in self.holding for item in recent) - len(distance)
        fresh = len(distance) - 1
        odds = (repeats + p.repeat_support * p.repeat_rate) / (fresh + p.repeat_support * (1 - p.repeat_rate))
        shares = [score / max(others) for score in others]
        exploring = max(others) * (sum(int(share * share * 2**36) for share in shares) / 2**36)
        scale = p.repeat_share * odds * exploring / own
        for item in distance:
            if item in scores:
                scores[item] = max(scores[item] * weight[item] * scale, 1e-300)

    def follow(self, seed, share, scores, seeds, barred):
        """Add the rules of an item, the strongest weighing ``share``."""
        rules = {}
        self.add_rules(rules, seed, 1.0, barred, seeds)
        take_over(scores, shared_out(rules, share), seeds)

    def add_rules(self, rules, seed, factor, left_out, seeds):
        """Add the rules of an item times a factor."""
        for number in reversed(self.holding[seed][-self.p.rule_sessions :]):
            for item, weight in self.rules_of(self.sessions[number][0], seed):
                if item not in left_out:
                    add(rules, item, weight * factor)
                    if item in rules:
                        seeds.setdefault(item, seed)

    def weight_of_seed(self, seed):
        """What an item's rules are divided by."""
        held = [self.sessions[n][0] for n in reversed(self.holding[seed][-self.p.rule_sessions :])]
        if not self.p.rule_linear:
            return len(held)
        weight = 0.0
        for items in held:
            weight += self.p.rule_mix / (len(items) * len(items))
            for item in items[:-1]:
                weight += (1.0 - self.p.rule_mix) * (item == seed)
        return weight

    def rules_of(self, items, seed):
        """All pairs of the seed with another click, and their weight."""
        p = self.p
        anchors = [place for place, item in enumerate(items) if item == seed]
        pair = p.rule_mix * min(len(items), 4095) ** -p.rule_length_power
        for anchor in anchors:
            # With the first of the seed's clicks, the pairs of all of them: n (n - 1) among n equal ones.
            pairs = pair * len(anchors) if anchor == anchors[0] else 0.0
            for place, item in enumerate(items):
                follows = 0 < place - anchor <= p.rule_steps
                if (place != anchor or p.rule_linear) and (follows or pairs > 0):
                    weight = pairs
                    if follows:
                        weight += (1.0 - p.rule_mix) * step_weight(
                            p.rule_weight, place - anchor, p.rule_decay
                        )
                    yield item, weight

    def followers(self, seed, item):
        """How many of the seed's newest sessions have the rule."""
        # Of a rule that weighs nothing at its distance, the pair of clicks counts all the same.
        sessions = [self.sessions[n][0] for n in self.holding[seed][-self.p.rule_sessions :]]
        return sum(any(item == other for other, _ in self.rules_of(items, seed)) for items in sessions)

    def explained(self, item, score, held, considered, seeds, distance):
        """An item with its reason."""
        votes = [sum(item in items and other in items for items in held) for other in considered]
        voting = [i for i in range(len(considered)) if votes[i] > 0]
        if voting:
            others = [i for i in voting if considered[i] != item] or voting
            top = max(others, key=lambda i: (votes[i], -i))
            return Recommended(item, score, "neighbours", votes[top], considered[top])
        if item in seeds:
            return Recommended(item, score, "rules", self.followers(seeds[item], item), seeds[item])
        source = "session" if item in distance else "popular"
        return Recommended(item, score, source, len(self.holding[item]))

    def fill_by_rules(self, answer, clicked, barred):
        """What the rules of the clicked item and of the best found add to a short answer."""
        if len(answer) >= self.p.recommendations:
            return []
        taken = barred | {r.item for r in answer}
        scores, seeds = {}, {}
        for number, seed in enumerate((clicked + [r.item for r in answer])[:10]):
            self.add_rules(scores, seed, 1.0 / (number + 1), taken, seeds)
        return [
            Recommended(item, scores[item], "rules", self.followers(seeds[item], item), seeds[item])
            for item in self.ranked(scores, taken)[: self.p.recommendations - len(answer)]
        ]


def slow_score(sessions, query, time_s, parameters: ScoringParameters, weights=None) -> list[Recommended]:
    """Answer one query; see :class:`SlowScorer`."""
    return SlowScorer(sessions, parameters, weights).answer(query, time_s)


def sum_of(scores):
    """The sum, one after the other: Python's own may round less."""
    total = 0.0
    for score in scores:
        total += score
    return total


def add(scores, item, score):
    """Add to a score; what is nothing makes no entry."""
    if score > 0:
        scores[item] = scores.get(item, 0.0) + score


def take_over(scores, rules, seeds):
    """Add the rules' scores to the items'; what is too small to be one leaves no seed."""
    for item, score in rules.items():
        add(scores, item, score)
        if item not in scores:
            seeds.pop(item, None)


def shared_out(scores, share):
    """The scores from 0 to the share."""
    largest = max(scores.values(), default=0.0)
    return {item: max(share * (score / largest), 1e-300) for item, score in scores.items()}


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


def hashed(end, time_s):
    """A number from 0 to 1 out of a session's end and a query's time (splitmix64)."""
    mask = (1 << 64) - 1
    z = (int(end * 1000.0) * 0x9E3779B97F4A7C15 + int(time_s * 1000.0)) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    z ^= z >> 31
    return (z >> 11) / 9007199254740992.0


def recency_weight(age_s, recency_s):
    """exp(-age / recency_s) as the kernels have it: of the 4096-second part times of the rest."""
    fine = age_s % 4096
    return math.exp(-(age_s - fine) / recency_s) * math.exp(-fine / recency_s)


def position_weight(kind, distance, n, decay):
    """Weight of the query item at ``distance`` from the newest of ``n`` clicks."""
    return {
        "same": lambda: 1.0,
        "linear": lambda: max(0.0, 1.0 - 0.1 * distance),
        "quadratic": lambda: ((n - distance) / n) ** 2,
        "log": lambda: 1.0 / math.log10(distance + 1.7),
        "div": lambda: (n - distance) / n,
        "exponential": lambda: math.exp(-distance / decay),
        "wsknn": lambda: (n - distance + 1) / n,
    }[kind]()


def step_weight(kind, step, decay):
    """Weight of what is ``step`` steps away."""
    return {
        "same": lambda: 1.0,
        "linear": lambda: max(0.0, 1.0 - 0.1 * step),
        "quadratic": lambda: 1.0 / (step * step),
        "log": lambda: 1.0 / math.log10(step + 1.7),
        "div": lambda: 1.0 / step,
        "exponential": lambda: math.exp(-(step - 1) / decay),
    }[kind]()
