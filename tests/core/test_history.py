"""An answer depends on the sessions that are held, the query and the parameters, and on nothing before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.index import SessionIndex
from core.presets import PRESETS
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from tests.oracles.any_parameters import ANY_PARAMETERS

ITEMS = st.sampled_from([f"i{n}" for n in range(14)])
QUERIES = st.lists(st.lists(ITEMS | st.just("unknown"), max_size=7), min_size=1, max_size=4)
PARAMETERS = st.sampled_from(list(PRESETS.values())) | ANY_PARAMETERS

#: A session comes; the n-th that ever came is removed, or all of its visitor; queries are answered.
STEPS = (
    st.tuples(st.just("add"), st.lists(ITEMS, min_size=1, max_size=6))
    | st.tuples(st.just("remove"), st.integers(0, 25))
    | st.tuples(st.just("forget"), st.integers(0, 2))
    | st.tuples(st.just("ask"), QUERIES)
)


def closed(number, items):
    """A session of one of three visitors."""
    end = 1000 * number
    return ClosedSession(
        f"0-{number}", f"v{number % 3}", tuple(items), (end,) * len(items), end, end, "gap", len(items)
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=40), st.integers(2, 12), QUERIES, PARAMETERS)
def test_an_index_with_a_history_answers_as_one_that_was_built_on_what_remains(
    steps, capacity, asked, parameters
):
    """Evictions, removals, recycled ids and queries in between leave nothing behind in index or scorer."""
    index = SessionIndex(capacity)
    scorer = Scorer(index, parameters)
    came, gone = [], set()
    for what, value in steps:
        if what == "add":
            came.append(closed(len(came), value))
            index.add(came[-1:])
        elif what == "remove":
            index.remove(f"0-{value}", f"v{value % 3}")
            gone.add(value)
        elif what == "forget":
            index.remove_visitor(f"v{value}")
            gone |= {number for number in range(len(came)) if number % 3 == value}
        else:
            scorer.score([(query, 99.0) for query in value])
        # A session can be removed only once it has come.
        gone &= set(range(len(came)))
    held = [session for number, session in enumerate(came) if number not in gone][-capacity:]
    if index.sessions < len(held):  # a removed session counts until all older ones have left
        held = held[len(held) - index.sessions :]
    fresh = SessionIndex(len(came) + 1)
    fresh.add(held)
    queries = [(query, 50.0 + n) for n, query in enumerate(asked)]
    answers = scorer.score(queries)
    assert answers == Scorer(fresh, parameters).score(queries)
    assert answers == scorer.score(queries[::-1])[::-1]
    assert answers == [scorer.score([query])[0] for query in queries]
