"""The answer as its readers see it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answers import Answer, ClickPlace, answer, decode_answer, encode_answer
from core.scoring import Recommended
from core.step import Query

QUERY = Query("v1", "i9", 41, 1_396_860_669_277, 1_396_860_669_300, "3-40", ("i8", "i9"), "joined")
RECOMMENDED = [
    Recommended("i7", 0.123456789, "neighbours", 14, "i9"),
    Recommended("i6", 2.0, "rules", 3, "i8"),
    Recommended("i5", 7.25, "popular", 120),
]


def test_an_answer_on_the_wire_is_as_documented():
    """The JSON has the click's place, the session and the items, best first; "with" names the shared item."""
    value = encode_answer(answer(QUERY, 3, RECOMMENDED, 1234, "vstan"))
    assert json.loads(value) == {
        "visitor": "v1",
        "click": {"partition": 3, "offset": 41},
        "item": "i9",
        "session": "3-40",
        "position": 2,
        "items": [
            {"item": "i7", "score": 0.123456789, "source": "neighbours", "sessions": 14, "with": "i9"},
            {"item": "i6", "score": 2.0, "source": "rules", "sessions": 3, "with": "i8"},
            {"item": "i5", "score": 7.25, "source": "popular", "sessions": 120},
        ],
        "index_offset": 1234,
        "parameters": "vstan",
    }


def test_an_answer_may_be_empty():
    """While nothing has been learnt there is nothing to recommend, and the click is answered all the same."""
    assert decode_answer(encode_answer(answer(QUERY, 0, [], 0, "vsknn"))).items == ()


def test_the_same_click_is_answered_with_the_same_bytes():
    """A click replayed has its identity and, from the same index, its content; its outcome is not told."""
    again = QUERY._replace(outcome="replay")
    first = encode_answer(answer(QUERY, 3, RECOMMENDED, 9, "vsknn"))
    assert encode_answer(answer(again, 3, RECOMMENDED, 9, "vsknn")) == first


text = st.text(st.characters(codec="utf-8"), max_size=10)
count = st.integers(0, 2**53)
items = st.builds(
    Recommended,
    text,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["neighbours", "rules", "popular"]),
    count,
    st.none() | text,
)
answers = st.builds(
    Answer,
    text,
    st.builds(ClickPlace, count, count),
    text,
    text,
    count,
    st.lists(items, max_size=4).map(tuple),
    count,
    text,
)


@given(answers)
def test_an_answer_that_is_written_is_read_again_as_it_was(value):
    """Writing and reading is the identity."""
    assert decode_answer(encode_answer(value)) == value


@pytest.mark.parametrize("value", [b"", b"null", b"{}", b"[]", b'{"visitor":1}', b"\xff"])
def test_what_is_no_answer_is_refused(value):
    """Bytes that are not an answer raise msgspec's error, as documented."""
    with pytest.raises(msgspec.DecodeError):
        decode_answer(value)
