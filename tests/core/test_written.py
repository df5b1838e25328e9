"""Answers written by the kernel are what msgspec writes, with scores of nine significant digits."""

from __future__ import annotations

import math
from itertools import count

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.index import SessionIndex
from core.kernels.codes import SOURCES
from core.kernels.compiled import CHUNK_BYTES
from core.kernels.writing import LEAST_WRITTEN, write_items
from core.name_texts import NAMES_ROOM, NameTexts
from core.presets import preset
from core.scoring import Recommended, Scorer
from core.window.sessions import ClosedSession
from tests.oracles.any_parameters import ANY_PARAMETERS

ITEMS = st.sampled_from([f"i{n}" for n in range(9)] + ["", '"', "\\", "\0\n", "\ud800", "𝄞ü"]) | st.text(
    st.characters(exclude_categories=()), max_size=3
)
SESSIONS = st.lists(ITEMS, min_size=1, max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = NameTexts(["a", "b"])


def closed(number, items):
    """A session that ended after so many seconds."""
    end = 1000 * number
    return ClosedSession(f"0-{number}", "v", tuple(items), (end,) * len(items), end, end, "gap", len(items))


def as_text(name):
    """A name as it can be written: half a pair of surrogates is a question mark."""
    return name.encode("utf-8", "replace").decode()


def read(written):
    """The items of an answer; msgspec writes them as they were written."""
    items = msgspec.json.decode(written, type=list[Recommended])
    assert msgspec.json.encode(items) == written
    return items


def check_written(scorer, queries):
    """Hold what is written against what is named."""
    ranked = scorer.rank(scorer.numbered(queries))
    for items, written in zip(scorer.named(ranked), scorer.written(ranked), strict=True):
        for one, again in zip(items, read(written), strict=True):
            assert (again.item, again.source, again.sessions) == (as_text(one.item), one.source, one.sessions)
            assert again.shared == (None if one.shared is None else as_text(one.shared))
            assert math.isclose(again.score, one.score, rel_tol=5.000001e-9)


def write_scores(scores):
    """The text of each score, each in an answer of one item."""
    shape = (len(scores), 1)
    none = np.zeros(shape, np.int32)
    out, ends = np.empty(200 * len(scores), np.uint8), np.zeros(len(scores), np.int64)
    score = np.array(scores, np.float64).reshape(shape)
    ones, shared = np.ones(len(scores), np.int32), np.full(shape, -1, np.int32)
    names = NAMES.text, NAMES.begins, NAMES.lengths
    assert write_items(none, score, none, shared, none, ones, *names, 0, out, ends) == len(scores)
    begins = [0, *ends.tolist()]
    texts = [out[begin:end].tobytes() for begin, end in zip(begins, ends, strict=False)]
    return [text.split(b'"score":')[1].split(b',"source"')[0].decode() for text in texts]


@settings(max_examples=200, deadline=None)
@given(st.lists(SESSIONS, max_size=20), st.lists(SESSIONS, max_size=4), ANY_PARAMETERS, st.integers(1, 12))
def test_what_is_written_is_what_msgspec_writes(history, asked, parameters, capacity):
    """For any items and parameters, the same items with the same reasons, and the scores to nine digits."""
    index = SessionIndex(capacity)
    index.add(closed(n, items) for n, items in enumerate(history))
    check_written(Scorer(index, parameters), [(query, 100.0) for query in asked])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(SESSIONS, max_size=8), max_size=6), st.integers(1, 8), SESSIONS)
def test_names_come_and_go_with_their_items(batches, capacity, query):
    """The texts follow an index whose items' numbers are given to others again and again."""
    index = SessionIndex(capacity)
    scorer = Scorer(index, preset("blend", recommendations=40))
    number = count()
    for batch in batches:
        index.add(closed(next(number), items) for items in batch)
        check_written(scorer, [(query, 100.0)])
    index.restore_names(index.names, index.free_ids)
    check_written(scorer, [(query, 100.0)])


@settings(max_examples=500, deadline=None)
@given(st.lists(FLOATS | st.floats(0, 100) | st.integers(-(10**17), 10**17).map(float), min_size=1))
def test_a_score_has_nine_digits(scores):
    """The nearest number of nine significant digits, up to the last bits, written as msgspec does."""
    for score, text in zip(scores, write_scores(scores), strict=True):
        again = float(text)
        assert msgspec.json.encode(again).decode() == text
        if abs(score) < LEAST_WRITTEN:
            assert again == 0
        else:
            assert math.isclose(again, score, rel_tol=5.000001e-9)
            assert float(f"{again:.8e}") == again


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (-2.5, "-2.5"),
        (1 / 3, "0.333333333"),
        (200 / 3, "66.6666667"),
        (9.99999999, "9.99999999"),
        (9.999999999, "10.0"),
        (0.99999999999, "1.0"),
        (123456789.0, "123456789.0"),
        (1234567891.0, "1234567890.0"),
        (9e15, "9000000000000000.0"),
        (1e16, "1e16"),
        (1.25e17, "1.25e17"),
        (1e-5, "0.00001"),
        (1.2345678912e-5, "0.0000123456789"),
        (9.9999e-6, "9.9999e-6"),
        (1e-300, "1e-300"),
        (9e-301, "0.0"),
        (-5e-324, "-0.0"),
        (1.7976931348623157e308, "1.79769313e308"),
    ],
)
def test_a_score_at_the_limits_of_each_form(score, text):
    """Nine digits, no zeros at the end; an exponent below .00001 and from ten to the sixteenth on."""
    assert write_scores([score]) == [text]


def test_answers_longer_than_the_room_for_them_are_written_whole():
    """However long names are and however many answers a run has."""
    index = SessionIndex(100)
    index.add(closed(n, [f"{n}" + "ü" * 10_000, "b", f"{n + 1}" + "ü" * 10_000]) for n in range(60))
    scorer = Scorer(index, preset("vstan", recommendations=50))
    check_written(scorer, [(("b",), 100.0), ((), 100.0), (("b", "c"), 100.0)] * 3)


def test_the_texts_of_names_that_are_gone_do_not_pile_up():
    """However often they are given anew, names take at most twice the room of those that are held and one."""
    texts = NameTexts([])
    for turn in range(100):
        for item in range(200):
            texts.put(item, f"{item:03}-{turn:02}")
    one = len('"000-00"')
    assert len(texts.text) <= 2 * (200 * one + one) + CHUNK_BYTES
    found = [texts.text[texts.begins[item] :][:one].tobytes() for item in range(200)]
    assert found == [b'"%03d-99"' % item for item in range(200)]


def test_a_burst_of_long_names_leaves_no_room_taken():
    """The room for names follows those that are held, also when none is given any more."""
    index = SessionIndex(2)
    texts = index.write_names()
    for number in range(200):
        index.add([closed(number, [f"{number}-{at}-" + "x" * 5_000 for at in range(3)])])
    index.add([closed(200 + number, ["a", "b"]) for number in range(3)])
    assert index.items == 2
    assert len(texts.text) < 10 * NAMES_ROOM
    scorer = Scorer(index, preset("vstan"))
    check_written(scorer, [(("a",), 100.0)])


def test_every_source_has_its_name():
    """The kernel has the sources in the order of their numbers."""
    index = SessionIndex(10)
    index.add([closed(0, ["a", "b"]), closed(1, ["a", "c", "d"]), closed(2, ["e"])])
    scorer = Scorer(index, preset("blend", recommendations=4))
    found = {
        one.source
        for written in scorer.written(scorer.rank(scorer.numbered([(("a",), 1.0)])))
        for one in read(written)
    }
    assert {"neighbours", "popular"} <= found <= set(SOURCES)
