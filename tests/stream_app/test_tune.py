"""Tuning: the validation cut, and a search on sessions whose best answer is known."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import EvaluationError, TuneError
from core.params import EXCLUDES
from core.presets import PRESETS, preset
from core.window.sessions import ClosedSession
from stream_app.evaluate.holdout import holdout
from stream_app.evaluate.methods import EngineRecommender
from stream_app.tune.figures import WORTH, Figures
from stream_app.tune.report import found_rows, verdict
from stream_app.tune.search import Found, Search
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


def test_what_was_found_before_is_tried_right_after_the_start(validation):
    """With the exclusion and the length asked for now; what lies beyond the search's space, too."""
    before = searched(validation, "vsknn", 30).best
    far = preset("vsknn", neighbours=77_777, exclude="session")
    start = preset("vsknn", exclude="none")
    again = Search(validation, start, "mrr", trials=3, seed=2, also=[far, before.parameters])
    again.run(never, lambda _: None)
    assert again.best == Found(2, before.parameters, before.figures)
    assert again.started.parameters == start
    only = Search(validation, start, "mrr", trials=2, seed=2, also=[start, far])
    tried = []
    only.run(never, lambda search: tried.append(search.best.parameters))
    assert {found.exclude for found in tried} == {"none"}


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


def test_a_sure_trial_is_chosen_where_the_best_may_be_chance(validation):
    """More queries gain by the best trial, but whole sessions lose by it: a smaller gain is surer."""
    search = Search(validation, PRESETS["vsknn"], "mrr", trials=1, seed=1)
    second, of = bytes([2] * len(validation.queries)), validation.session_of
    some = bytes(1 if at % 5 == 0 else 2 for at in range(len(second)))
    by_session = bytes(1 if n % 50 < 31 else 0 if n % 50 < 49 else 2 for n in of)
    for trial, ranks in enumerate((second, some, by_session)):
        search._take(Found(trial, PRESETS["vsknn"], Figures(ranks)))
    search.done = 1000
    assert (search.started.trial, search.best.trial) == (0, 2)
    assert search.gain.low < 0 < search.gain.value
    assert (search.chosen.trial, search.surest[0].trial) == (1, 1)
    assert 0 < search.surest[1].low < search.surest[1].value < search.gain.value
    assert "trial 1 is taken, which is surer" in verdict(search, search.chosen, "vsknn")
    assert [name for name, _ in found_rows(search, search.chosen, "vsknn")] == ["vsknn", "trial 2", "trial 1"]


def test_where_no_trial_is_above_the_start_it_is_said(validation):
    """The start is written, and nobody wonders whether the search went wrong."""
    search = searched(validation, "vstan", 1)
    said = verdict(search, search.chosen, "vstan")
    assert said == "no trial is above vstan in mrr, so vstan itself is kept"
