"""Tuning: the space, the validation cut, and a search on sessions whose best answer is known."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import EvaluationError, TuneError
from core.params import EXCLUDES, ScoringParameters
from core.presets import PRESETS, preset
from core.sessions import ClosedSession
from stream_app.evaluate.holdout import holdout
from stream_app.evaluate.methods import EngineRecommender
from stream_app.tune.figures import WORTH, Figures
from stream_app.tune.near import near, one_of_the_best
from stream_app.tune.search import Search
from stream_app.tune.space import FIXED, NEEDED, SPACE, Choice, Range, encode, suggest
from stream_app.tune.stopping import Stop
from stream_app.tune.validation import RUNGS, Cut, Validation
from tests.oracles.chains import chains

SPAN_S = 86_400.0


def never() -> bool:
    """A search that nothing stops."""
    return False


def always(_rung: int, _figures: Figures) -> bool:
    """A trial that nothing gives up."""
    return True


def seeded(seed: int) -> random.Random:
    """A source of any values, the same each time."""
    return random.Random(seed)  # noqa: S311 -- no secret


class Drawn:
    """A trial that draws each value from a seed, the ends of a range included, and remembers them."""

    def __init__(self, seed: int) -> None:
        self._random = seeded(seed)
        self.suggestions: dict = {}

    def suggest_categorical(self, name, choices):
        """One of the choices."""
        return self.suggestions.setdefault(name, self._random.choice(choices))

    def suggest_int(self, name, low, high, *, log=False):
        """A whole number from low to high."""
        del log
        return self.suggestions.setdefault(
            name, self._random.choice([low, high, self._random.randint(low, high)])
        )

    def suggest_float(self, name, low, high, *, log=False):
        """A number from low to high."""
        del log
        return self.suggestions.setdefault(
            name, self._random.choice([low, high, self._random.uniform(low, high)])
        )


class Given:
    """A trial that takes the values that it is given."""

    def __init__(self, suggestions: dict) -> None:
        self._suggestions = suggestions

    def suggest_categorical(self, name, choices):
        """One of the choices."""
        assert self._suggestions[name] in choices
        return self._suggestions[name]

    def suggest_int(self, name, low, high, *, log=False):
        """A whole number from low to high."""
        del log
        assert low <= self._suggestions[name] <= high
        return self._suggestions[name]

    suggest_float = suggest_int


class Completed(Given):
    """A trial that takes the values that it is given, and draws the others."""

    def __init__(self, suggestions: dict, seed: int) -> None:
        drawn = Drawn(seed)
        drawn.suggestions.update(suggestions)
        super().__init__(drawn.suggestions)
        self._drawn = drawn

    def suggest_categorical(self, name, choices):
        """One of the choices."""
        self._drawn.suggest_categorical(name, choices)
        return super().suggest_categorical(name, choices)

    def suggest_int(self, name, low, high, *, log=False):
        """A whole number from low to high."""
        self._drawn.suggest_int(name, low, high)
        return super().suggest_int(name, low, high, log=log)

    def suggest_float(self, name, low, high, *, log=False):
        """A number from low to high."""
        self._drawn.suggest_float(name, low, high)
        return super().suggest_int(name, low, high, log=log)


@pytest.fixture(scope="module")
def validation() -> Validation:
    """400 queries of a chain in which each item's follower is known."""
    return Validation(chains(1500, seed=1), Cut.parse("20%"), seed=1, max_queries=400)


def searched(validation: Validation, name: str, trials: int, **options) -> Search:
    """A search that is over."""
    start = preset(name, exclude="none")
    search = Search(validation, start, options.pop("objective", "mrr"), trials=trials, seed=3, **options)
    search.run(never, lambda _: None)
    return search


# The space


def test_every_parameter_is_searched_or_known_not_to_be():
    """A parameter that is added to the scorer goes into SPACE, or is named as one that is not."""
    assert set(SPACE) | FIXED | {NEEDED} == set(ScoringParameters.__struct_fields__)
    assert not set(SPACE) & (FIXED | {NEEDED})


@given(st.integers(0, 2**32), st.sampled_from(sorted(PRESETS)), st.sampled_from(EXCLUDES), st.floats(1, 1e8))
@hypothesis_settings(max_examples=200)
def test_what_is_suggested_is_in_range_and_keeps_what_is_fixed(seed, name, exclude, span_s):
    """Any choice of values makes parameters that the scorer takes, with the start's name, n and exclusion."""
    start = preset(name, exclude=exclude, recommendations=7)
    found = suggest(Drawn(seed), start, span_s)
    assert {key: getattr(found, key) for key in FIXED} == {key: getattr(start, key) for key in FIXED}


@given(st.integers(0, 2**32))
@hypothesis_settings(max_examples=200)
def test_parameters_become_the_suggestions_that_make_them(seed):
    """encode() is the way back from suggest(): the same suggestions where time has no part, none left out."""
    start = preset("vstan", exclude="none")
    trial = Drawn(seed)
    found = suggest(trial, start, 1.0)
    assert encode(found, start, 1.0) == trial.suggestions
    assert suggest(Given(trial.suggestions), start, 1.0) == found


@given(st.integers(0, 2**32))
@hypothesis_settings(max_examples=100)
def test_what_does_not_matter_is_not_searched(seed):
    """A decay is chosen only for the weight that has one, where neighbours count; else it is the start's."""
    start = preset("vstan", position_decay=3.25, score_decay=4.25)
    trial = Drawn(seed)
    found = suggest(trial, start, SPAN_S)
    for weight, decay in (("position_weight", "position_decay"), ("score_weight", "score_decay")):
        matters = found.neighbour_share > 0 and getattr(found, weight) == "exponential"
        assert (decay in trial.suggestions) == matters
        assert decay in trial.suggestions or getattr(found, decay) == getattr(start, decay)


def test_a_parameter_that_is_switched_off_is_not_searched_further():
    """Off is a choice of its own: the value that means off is taken, and no number is asked for."""
    dimension = Range(1.0, 10.0, off=0.0)
    assert dimension.suggest(Given({"x?": False}), "x", SPAN_S) == 0.0
    assert dimension.suggest(Given({"x?": True, "x": 4.0}), "x", SPAN_S) == 4.0
    assert dimension.encode("x", 0.0, SPAN_S) == {"x?": False}
    assert dimension.encode("x", 4.0, SPAN_S) == {"x?": True, "x": 4.0}


def test_a_time_is_a_share_of_what_the_data_spans():
    """A parameter in seconds is searched in units of the training data's time."""
    dimension = Range(0.5, 2.0, of_span=True)
    assert dimension.suggest(Given({"x": 1.5}), "x", 1000.0) == 1500.0
    assert dimension.encode("x", 1500.0, 1000.0) == {"x": 1.5}


def test_values_beyond_the_space_have_no_suggestions():
    """A value out of its range, an unknown choice, or a fixed parameter that differs cannot be suggested."""
    assert Range(1.0, 2.0).encode("x", 3.0, SPAN_S) is None
    assert Choice(("a", "b")).encode("x", "c", SPAN_S) is None
    start = PRESETS["vstan"]
    assert encode(msgspec.structs.replace(start, similarity_power=9.5), start, SPAN_S) is None
    assert encode(msgspec.structs.replace(start, popularity_sessions=5), start, SPAN_S) is None
    assert encode(msgspec.structs.replace(start, exclude="none", name="x"), start, SPAN_S) is not None


def test_all_sessions_are_as_many_as_the_search_can_ask_for():
    """A preset that says all sessions of an item is where the search can step from: at its largest number."""
    start = preset("blend", exclude="none")
    of_rules = encode(preset("sr", exclude="none"), start, SPAN_S)
    assert of_rules["rule_sessions"] == SPACE["rule_sessions"].high
    assert of_rules["neighbour_share"] == 0.0
    assert "neighbours" not in of_rules


# Steps


@given(st.integers(0, 2**32))
@hypothesis_settings(max_examples=300)
def test_a_step_moves_some_values_and_stays_within_their_ranges(seed):
    """Parameters come out whatever is moved; what a switch makes needful is drawn."""
    start = preset("blend", exclude="none")
    before = encode(start, start, SPAN_S)
    after = near(before, seeded(seed))
    assert after.keys() == before.keys()
    assert after != before
    suggest(Completed(after, seed), start, SPAN_S)


@pytest.mark.parametrize(("count", "most"), [(1, 1), (2, 2), (50, 14)])
def test_steps_are_mostly_from_the_best(count, most):
    """The best is stepped from most often, and none that is far behind."""
    draws = seeded(1)
    chosen = [one_of_the_best(count, draws) for _ in range(2000)]
    assert 0 <= min(chosen) <= max(chosen) < most
    assert chosen.count(0) > 1200


# The validation cut


@st.composite
def any_sessions(draw) -> list[ClosedSession]:
    """Sessions of any times, sorted by end as a reader gives them."""
    spans = draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), min_size=1, max_size=40))
    sessions = [
        ClosedSession(f"0-{n}", "v", ("a", "b"), (start, start + length), start, start + length, "gap", 2)
        for n, (start, length) in enumerate(spans)
    ]
    return sorted(sessions, key=lambda session: session.end)


@given(any_sessions(), st.sampled_from(["5%", "20%", "50%", "90%", "0.02s", "0.1s", "1m"]))
@hypothesis_settings(max_examples=300)
def test_no_validation_session_begins_before_a_training_one_ends(sessions, text):
    """Whatever the cut, what is learnt is over when the first validation session begins; or it is refused."""
    try:
        older, newer = Cut.parse(text).split(sessions)
    except (TuneError, EvaluationError):
        return
    assert older
    assert newer
    assert max(session.end for session in older) < min(session.start for session in newer)
    assert {session.session for session in (*older, *newer)} <= {session.session for session in sessions}
    assert not {session.session for session in older} & {session.session for session in newer}


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("10%", Cut(share=0.1)),
        ("0.5%", Cut(share=0.005)),
        ("1d", Cut(seconds=86_400)),
        ("12h", Cut(seconds=43_200)),
        ("30m", Cut(seconds=1800)),
        (" 90s ", Cut(seconds=90)),
    ],
)
def test_a_cut_is_a_share_or_a_time(text, cut):
    """Per cent of the sessions, or days, hours, minutes and seconds before the last click."""
    assert Cut.parse(text) == cut


@pytest.mark.parametrize("text", ["", "10", "0%", "100%", "-5%", "0d", "d", "1w", "ten", "1e3s", "nan%"])
def test_a_cut_that_holds_out_nothing_or_all_is_refused_with_examples(text):
    """What is no share between 0 and 100 and no time above 0 is an error that shows what is."""
    with pytest.raises(
        TuneError, match=r"expected a share of the sessions such as 10%, or a time such as 1d"
    ):
        Cut.parse(text)


def test_a_time_that_leaves_nothing_says_how_long_the_data_is():
    """A day held out of an hour of sessions is an error with both numbers."""
    with pytest.raises(
        TuneError, match=r"60 sessions within 3,5\d\d s: the newest 86,400 s leave 0 to learn"
    ):
        Cut.parse("1d").split(chains(60, seed=1))


def test_the_queries_are_beginnings_of_the_newer_sessions_each_once():
    """Each query is a beginning of a validation session, with its last click's time and the next item."""
    validation = Validation(chains(300, seed=2), Cut.parse("20%"), seed=1, max_queries=10**6)
    expected = {
        (session.items[:at], session.times[at - 1] / 1000, session.items[at])
        for session in validation.newer
        for at in range(1, len(session.items))
    }
    asked = [
        (tuple(items), time_s, item)
        for (items, time_s), item in zip(validation.queries, validation.next_items, strict=True)
    ]
    assert set(asked) == expected
    assert len(asked) == len(expected) == validation.possible


def test_queries_are_drawn_by_the_seed_up_to_a_bound():
    """The same seed draws the same queries, another one others, and never more than the bound."""
    sessions = chains(300, seed=2)
    first, again, other = (Validation(sessions, Cut.parse("20%"), seed, 50) for seed in (1, 1, 2))
    assert first.queries == again.queries != other.queries
    assert len(first.queries) == 50


def test_nothing_to_ask_is_an_error_that_says_what_to_do():
    """Validation sessions of one click each have no next item."""
    sessions = [
        msgspec.structs.replace(session, items=session.items[:1], times=session.times[:1])
        for session in chains(40, seed=1)
    ]
    with pytest.raises(TuneError, match=r"none of the 4 validation sessions has two clicks.*--validation"):
        Validation(sessions, Cut.parse("10%"), seed=1, max_queries=10)


@pytest.mark.parametrize("exclude", EXCLUDES)
def test_the_figures_are_those_of_evaluate(exclude):
    """HR, MRR and NDCG of a trial are what the evaluation of the same split comes to."""
    validation = Validation(chains(400, seed=2), Cut.parse("30%"), seed=1, max_queries=10**6)
    parameters = preset("vstan", exclude=exclude)
    figures = validation.judge(parameters, always, never)
    report = holdout(EngineRecommender(parameters), validation.older, validation.newer, cutoffs=[20])
    assert figures.queries == validation.possible
    for name in ("hr", "mrr", "ndcg"):
        assert getattr(figures, name) == pytest.approx(report.value(f"{name}_20"))


def test_a_trial_is_looked_at_on_growing_parts_and_can_be_ended_at_each(validation):
    """At each rung the figures are of that share of the queries; False ends the trial, a stop at once."""
    seen = []

    def go_on(rung: int, figures: Figures) -> bool:
        seen.append((rung, figures.queries))
        return len(seen) < 2

    assert validation.judge(PRESETS["vstan"], go_on, never) is None
    assert seen == [(0, 400 * RUNGS[0]), (1, 400 * RUNGS[1])]
    assert validation.judge(PRESETS["vstan"], always, lambda: True) is None


# The search


def test_a_search_finds_what_is_better_than_its_start(validation):
    """Where only the last click matters, thirty trials beat the start by far, and every preset."""
    search = searched(validation, "vsknn", 30)
    assert search.done == 30
    assert search.best.figures.mrr > 1.2 * search.started.figures.mrr
    for name in PRESETS:
        figures = validation.judge(preset(name, exclude="none"), always, never)
        assert search.best.figures.mrr >= figures.mrr
    assert validation.judge(search.best.parameters, always, never) == search.best.figures


def test_the_first_trial_is_the_start_itself(validation):
    """One trial is the start, with the exclusion and the length that were asked for."""
    search = searched(validation, "baskets", 1)
    assert search.best is search.started
    assert search.best.parameters == preset("baskets", exclude="none")


def test_the_same_seed_finds_the_same(validation):
    """With one job a search is a function of data, seed and trials; another seed goes another way."""
    one, again = (searched(validation, "vstan", 22) for _ in range(2))
    assert one.best == again.best
    assert (one.done, one.given_up) == (again.done, again.given_up)


def test_what_only_chance_made_better_is_not_chosen(validation):
    """The best of many trials on few queries need not be better: the start is kept, on many it is not."""
    search = searched(validation, "vsknn", 30)
    assert search.chosen is search.best
    assert search.gain.low > 0
    few = Validation(chains(1500, seed=1), Cut.parse("20%"), seed=1, max_queries=8)
    unsure = searched(few, "vsknn", 30)
    assert unsure.best.figures.mrr > unsure.started.figures.mrr
    assert unsure.gain.low < 0 < unsure.gain.value
    assert unsure.chosen is unsure.started


def test_hopeless_trials_are_given_up_and_never_the_best(validation):
    """Some of many trials end early, and they count as trials."""
    search = searched(validation, "vstan", 40)
    assert 0 < search.given_up < search.done == 40
    assert search.best.figures.queries == len(validation.queries)


@pytest.mark.parametrize("objective", WORTH)
def test_each_objective_is_made_large(objective, validation):
    """The best has at least the start's value of the objective."""
    search = searched(validation, "baskets", 12, objective=objective)
    assert search.best.figures.mean(objective) >= search.started.figures.mean(objective) > 0


def test_two_jobs_search_together(validation):
    """With several jobs every trial is counted once, and the best is what its parameters give."""
    search = searched(validation, "vsknn", 16, jobs=2)
    assert search.done == 16
    assert validation.judge(search.best.parameters, always, never) == search.best.figures


def test_a_stop_ends_the_search_and_keeps_the_best_so_far(validation):
    """After a stop no further trial is begun or counted; before the first there is no best."""
    stop = Stop()
    search = Search(validation, preset("vstan", exclude="none"), "mrr", trials=1000, seed=1)
    search.run(stop, lambda search: stop.by_signal() if search.done == 8 else None)
    assert search.done == 8
    assert search.best is not None
    none = Search(validation, PRESETS["vstan"], "mrr", trials=5, seed=1)
    none.run(lambda: True, lambda _: None)
    assert (none.best, none.done) == (None, 0)


def test_a_stop_says_why_and_stays():
    """Time and signals stop a search; the first of them is the reason."""
    assert not Stop()()
    over = Stop(minutes=0)
    assert over()
    assert over.reason == "time"
    over.by_signal()
    assert over.reason == "time"
