"""The comparisons on the real data sets: the figures of docs/comparisons.md, and what does not fit."""

from __future__ import annotations

import pytest

from core.errors import InvalidParameterError
from stream_app.comparisons.methods import ease, item_cf, slist, user_cf
from stream_app.evaluate.data import read_sessions

CUTOFF = 20


@pytest.fixture(scope="module")
def yoochoose(data):
    """Training sessions, and for each position of the test sessions the beginning and the next item."""
    folder = data / "yoochoose_100k"
    train = read_sessions(folder / "train_full.txt.gz")
    known = {item for session in train for item in session.items}
    questions = []
    for session in read_sessions(folder / "test.txt.gz", partition=1):
        items = [item for item in session.items if item in known]
        questions.extend(((items[:place], 0.0), items[place]) for place in range(1, len(items)))
    return train, questions


def quality(method, train, questions) -> tuple[float, float]:
    """HR@20 and MRR@20 of the next item."""
    method.fit(train)
    answers = method.recommend([query for query, _ in questions])
    places = [
        answer.index(item) + 1
        for answer, (_, item) in zip(answers, questions, strict=True)
        if item in answer[:CUTOFF]
    ]
    return len(places) / len(questions), sum(1 / place for place in places) / len(questions)


@pytest.mark.parametrize(
    ("make", "settings", "hit_rate", "mrr"),
    [
        (user_cf, {}, 0.6459, 0.3213),
        (user_cf, {"neighbours": 300, "query_decay": 2}, 0.6849, 0.3502),
        (item_cf, {}, 0.6603, 0.3262),
        (item_cf, {"neighbours": 300, "query_decay": 2}, 0.6758, 0.3636),
        (ease, {}, 0.4715, 0.1831),
        (slist, {}, 0.6932, 0.3744),
        (slist, {"min_support": 1_000_000, "regularisation": 2}, 0.6973, 0.3752),
    ],
)
def test_yoochoose_has_the_figures_of_the_page(yoochoose, make, settings, hit_rate, mrr):
    """HR@20 and MRR@20 with nothing excluded are those that are published, to .001."""
    found = quality(make("none", CUTOFF, **settings), *yoochoose)
    assert found == pytest.approx((hit_rate, mrr), abs=0.001)


def test_diginetica_is_refused_by_the_linear_models_as_a_whole(data):
    """43,097 items do not fit in 2 GB, and the error says which support does."""
    sessions = read_sessions(data / "diginetica_sequences" / "train.txt.gz")
    with pytest.raises(InvalidParameterError, match=r"43,097 items need 7\.43 GB.*min_support to 9,"):
        slist().fit(sessions)
