"""The answer as its readers see it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.answers import Answer, ClickPlace, decode_answer, encode_answer
from core.scoring import Recommended
from core.window.step import Query

QUERY = Query("v1", "i9", 41, 1_396_860_669_277, 1_396_860_669_300, "3-40", ("i8", "i9"), "joined")
RECOMMENDED = [
    Recommended("i7", 0.123456789, "neighbours", 14, "i9"),
    Recommended("i6", 2.0, "rules", 3, "i8"),
    Recommended("i5", 7.25, "popular", 120),
]
ITEMS = msgspec.json.encode(RECOMMENDED)


def test_an_answer_on_the_wire_is_as_documented():
    """The JSON has the click's place, the session and the items, best first; "with" names the shared item."""
    value = encode_answer(QUERY, 3, ITEMS, 1234, "vstan")
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
    assert decode_answer(value) == Answer(
        "v1", ClickPlace(3, 41), "i9", "3-40", 2, tuple(RECOMMENDED), 1234, "vstan"
    )


def test_an_answer_may_be_empty():
    """While nothing has been learnt there is nothing to recommend, and the click is answered all the same."""
    assert decode_answer(encode_answer(QUERY, 0, b"[]", 0, "vsknn")).items == ()


def test_the_same_click_is_answered_with_the_same_bytes():
    """A click replayed has its identity and, from the same index, its content; its outcome is not told."""
    again = msgspec.structs.replace(QUERY, outcome="replay")
    assert encode_answer(again, 3, ITEMS, 9, "vsknn") == encode_answer(QUERY, 3, ITEMS, 9, "vsknn")


text = st.text(st.characters(codec="utf-8"), max_size=10)
count = st.integers(0, 2**53)
queries = st.builds(
    Query, text, text, count, count, count, text, st.lists(text, min_size=1, max_size=4).map(tuple), text
)
answered = st.lists(
    st.builds(
        Recommended,
        text,
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["neighbours", "rules", "popular"]),
        count,
        st.none() | text,
    ),
    max_size=4,
)


@given(queries, count, answered, count, text)
def test_an_answer_that_is_written_is_read_as_it_was(query, partition, items, offset, parameters):
    """Whatever the names are."""
    value = encode_answer(query, partition, msgspec.json.encode(items), offset, parameters)
    place = ClickPlace(partition, query.offset)
    assert decode_answer(value) == Answer(
        query.visitor,
        place,
        query.item,
        query.session,
        len(query.items),
        tuple(items),
        offset,
        parameters,
    )


@pytest.mark.parametrize("value", [b"", b"null", b"{}", b"[]", b'{"visitor":1}', b"\xff"])
def test_what_is_no_answer_is_refused(value):
    """Bytes that are not an answer raise msgspec's error, as documented."""
    with pytest.raises(msgspec.DecodeError):
        decode_answer(value)
