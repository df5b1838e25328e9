"""Every way to be a click or not to be one, and the laws of reading them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import BadClickError
from core.window.clicks import (
    BAD_REASONS,
    MAX_ACTION_BYTES,
    MAX_NAME_BYTES,
    MAX_TIME_MS,
    Click,
    encode_click,
    parse_click,
    parse_time_ms,
)

MAX_BYTES = 100_000
MIB = 1_048_576


def raw(time=b"1", *, visitor=b'"v"', item=b'"i"', more=b""):
    return b'{"visitor":' + visitor + b',"item":' + item + b',"time":' + time + more + b"}"


def reason_of(value, max_bytes=MAX_BYTES):
    with pytest.raises(BadClickError) as caught:
        parse_click(value, max_bytes)
    assert caught.value.detail
    assert str(caught.value) == caught.value.detail
    # The detail travels in a header of the dead letter.
    assert len(caught.value.detail.encode()) < 300
    return caught.value.reason


GOOD = raw()
NESTED = b"[" * 30_000 + b"]" * 30_000

BAD = [
    # null
    ("null", "Kafka's null", None),
    ("null", "JSON's null", b"null"),
    ("null", "JSON's null between white space", b" \r\n null\t"),
    # too_large: see also the tests of the limit
    ("too_large", "one byte above the limit", raw(more=b" " * (MAX_BYTES + 1 - len(GOOD)))),
    ("too_large", "a click of 1 MiB", raw(visitor=b'"' + b"v" * (MIB - 35) + b'"')),
    ("too_large", "1 MiB of zero bytes", bytes(MIB)),
    # not_utf8
    ("not_utf8", "no JSON and no UTF-8", b"\xff\xfe\xfd"),
    ("not_utf8", "a bad byte before the object", b"\xff" + GOOD),
    ("not_utf8", "a bad byte after the object", GOOD + b"\xff"),
    ("not_utf8", "a bad byte between two fields", raw(more=b',\xff"id":"x"')),
    ("not_utf8", "a bad byte in the visitor", raw(visitor=b'"v\xff"')),
    ("not_utf8", "a bad byte in the item", raw(item=b'"\xc3("')),
    ("not_utf8", "a bad byte in the time", raw(b'"2014\x80"')),
    ("not_utf8", "a bad byte in the id", raw(more=b',"id":"\xe2\x82"')),
    ("not_utf8", "a surrogate as three bytes", raw(visitor=b'"\xed\xa0\x80"')),
    ("not_utf8", "an overlong form", raw(visitor=b'"\xc0\xaf"')),
    ("not_utf8", "Latin-1", raw(visitor="'é'".replace("'", '"').encode("latin-1"))),
    ("not_utf8", "UTF-16 with its mark", GOOD.decode().encode("utf-16")),
    # not_json
    ("not_json", "nothing", b""),
    ("not_json", "white space only", b" \n"),
    ("not_json", "words", b"hello"),
    ("not_json", "an object cut short", GOOD[:-1]),
    ("not_json", "a string cut short", b'{"visitor":"v'),
    ("not_json", "a comma too many", raw(more=b",")),
    ("not_json", "single quotes", b"{'visitor':'v','item':'i','time':1}"),
    ("not_json", "Python's None", raw(b"None")),
    ("not_json", "a leading zero", raw(b"01")),
    ("not_json", "a hexadecimal number", raw(b"0x10")),
    ("not_json", "letters after the object", GOOD + b"x"),
    ("not_json", "two objects", GOOD + GOOD),
    ("not_json", "a zero byte after the object", GOOD + b"\x00"),
    ("not_json", "a byte order mark", b"\xef\xbb\xbf" + GOOD),
    ("not_json", "a control character in a string", raw(visitor=b'"a\nb"')),
    ("not_json", "an unknown escape", raw(visitor=b'"\\x41"')),
    ("not_json", "a lone high surrogate", raw(visitor=b'"\\ud800"')),
    ("not_json", "a lone low surrogate", raw(item=b'"\\udc00"')),
    ("not_json", "two high surrogates", raw(more=b',"id":"\\ud800\\ud800"')),
    ("not_json", "a lone surrogate in an ignored key's value", raw(more=b',"x":"\\ud800"')),
    ("not_json", "NaN in an ignored key", raw(more=b',"x":NaN')),
    ("not_json", "NaN alone", b"NaN"),
    ("not_json", "an ignored key nested too deep", raw(more=b',"x":' + NESTED)),
    ("not_json", "an ignored key nested too deep and cut short", raw(more=b',"x":' + b"[" * 60_000)),
    # wrong_type
    ("wrong_type", "an empty array", b"[]"),
    ("wrong_type", "an array cut short: reading stops at the first wrong thing", b"["),
    ("wrong_type", "an array of the fields", b'["v","i",1]'),
    ("wrong_type", "an array of clicks", b"[" + GOOD + b"]"),
    ("wrong_type", "an array nested deep", NESTED),
    ("wrong_type", "true", b"true"),
    ("wrong_type", "a number", b"17"),
    ("wrong_type", "a number beyond all floats", b"1e999"),
    ("wrong_type", "a string that holds a click", b'"{}"'),
    ("wrong_type", "visitor a number", raw(visitor=b"7")),
    ("wrong_type", "visitor a number beyond all floats", raw(visitor=b"1e999")),
    ("wrong_type", "visitor null", raw(visitor=b"null")),
    ("wrong_type", "visitor a boolean", raw(visitor=b"true")),
    ("wrong_type", "visitor an object", raw(visitor=b'{"id":"v"}')),
    ("wrong_type", "visitor nested deep", raw(visitor=NESTED)),
    ("wrong_type", "item a number", raw(item=b"214536502")),
    ("wrong_type", "item an array", raw(item=b'["i"]')),
    ("wrong_type", "item false", raw(item=b"false")),
    ("wrong_type", "time true", raw(b"true")),
    ("wrong_type", "time false", raw(b"false")),
    ("wrong_type", "time null", raw(b"null")),
    ("wrong_type", "time an array", raw(b"[1]")),
    ("wrong_type", "time an object", raw(b'{"$date":1}')),
    ("wrong_type", "id a number", raw(more=b',"id":5')),
    ("wrong_type", "id a boolean", raw(more=b',"id":true')),
    ("wrong_type", "action an array", raw(more=b',"action":["view"]')),
    # missing_field
    ("missing_field", "an empty object", b"{}"),
    ("missing_field", "no visitor", b'{"item":"i","time":1}'),
    ("missing_field", "no item", b'{"visitor":"v","time":1}'),
    ("missing_field", "no time", b'{"visitor":"v","item":"i"}'),
    ("missing_field", "names are case-sensitive", b'{"Visitor":"v","item":"i","time":1}'),
    # empty_string
    ("empty_string", "visitor", raw(visitor=b'""')),
    ("empty_string", "item", raw(item=b'""')),
    ("empty_string", "visitor, before its bad time is looked at", raw(b"-1", visitor=b'""')),
    # bad_time
    ("bad_time", "NaN as many writers write it", raw(b"NaN")),
    ("bad_time", "Infinity", raw(b"Infinity")),
    ("bad_time", "-Infinity", raw(b"-Infinity")),
    ("bad_time", "NaN in a string", raw(b'"NaN"')),
    ("bad_time", "nan with a sign in a string", raw(b'"-nan"')),
    ("bad_time", "infinity in a string", raw(b'"inf"')),
    ("bad_time", "negative", raw(b"-1")),
    ("bad_time", "negative by a little", raw(b"-0.001")),
    ("bad_time", "negative digits in a string", raw(b'"-1"')),
    ("bad_time", "beyond all floats", raw(b"1e999")),
    ("bad_time", "negative beyond all floats", raw(b"-1e999")),
    ("bad_time", "beyond all floats in a string", raw(b'"1e999"')),
    ("bad_time", "20 digits, beyond 64 bits", raw(b"9" * 20)),
    ("bad_time", "400 digits, beyond all floats", raw(b"9" * 400)),
    ("bad_time", "4,300 digits, the most that Python turns into text", raw(b"9" * 4300)),
    ("bad_time", "4,301 digits", raw(b"9" * 4301)),
    ("bad_time", "5,000 digits below zero", raw(b"-" + b"9" * 5000)),
    ("bad_time", "5,000 digits in a string", raw(b'"' + b"9" * 5000 + b'"')),
    ("bad_time", "microseconds", raw(b"1396860669277000")),
    ("bad_time", "nanoseconds", raw(b"1396860669277000000")),
    ("bad_time", "the first millisecond of the year 10000", raw(b"253402300800000")),
    ("bad_time", "the year 10000", raw(b'"10000-01-01T00:00:00Z"')),
    ("bad_time", "the year 10000 by its offset", raw(b'"9999-12-31T23:59:59-01:00"')),
    ("bad_time", "before 1970", raw(b'"1969-12-31T23:59:59Z"')),
    ("bad_time", "before 1970 by its offset", raw(b'"1970-01-01T00:00:00+00:01"')),
    ("bad_time", "before the year 1 by its offset", raw(b'"0001-01-01T00:00:00+14:00"')),
    ("bad_time", "an empty string", raw(b'""')),
    ("bad_time", "words", raw(b'"yesterday"')),
    ("bad_time", "month 13", raw(b'"2014-13-01T00:00:00Z"')),
    ("bad_time", "another zone's name", raw(b'"2014-04-07 10:51:09 CET"')),
    ("bad_time", "digits and UTC", raw(b'"1396860669 UTC"')),
]


@pytest.mark.parametrize(("reason", "value"), [pytest.param(r, v, id=f"{r}: {n}") for r, n, v in BAD])
def test_every_way_to_be_no_click_has_its_reason(reason, value):
    """A record that is no click is refused with the reason that the table says."""
    assert reason_of(value) == reason


def test_the_table_of_bad_records_has_several_of_every_reason():
    """No reason is without examples, and no example has a reason that is not documented."""
    reasons = [reason for reason, _, _ in BAD]
    assert set(reasons) == set(BAD_REASONS)
    assert all(reasons.count(reason) >= 3 for reason in BAD_REASONS)


def test_the_limit_of_bytes_is_the_last_that_is_read():
    """A value of exactly max_bytes is read; with one byte more it is too large, whatever it holds."""
    assert parse_click(GOOD, len(GOOD)).visitor == "v"
    assert reason_of(GOOD, len(GOOD) - 1) == "too_large"
    assert reason_of(b"\xff" * 11, 10) == "too_large"
    assert reason_of(b"\xff" * 10, 10) == "not_utf8"


TIMES = [
    ("zero", b"0", 0),
    ("minus zero", b"-0.0", 0),
    ("seconds", b"1396860669", 1_396_860_669_000),
    ("seconds and milliseconds", b"1396860669.277", 1_396_860_669_277),
    ("seconds, rounded to a millisecond", b"1396860669.2776", 1_396_860_669_278),
    ("seconds with an exponent", b"1.396860669277e9", 1_396_860_669_277),
    ("milliseconds", b"1396860669277", 1_396_860_669_277),
    ("milliseconds as a float", b"1396860669277.0", 1_396_860_669_277),
    ("milliseconds with a fraction", b"1396860669277.4", 1_396_860_669_277),
    ("the last second below the threshold", b"99999999999", 99_999_999_999_000),
    ("the last millisecond below the threshold", b"99999999999.999", 99_999_999_999_999),
    ("the threshold is in milliseconds", b"100000000000", 100_000_000_000),
    ("the threshold as a float", b"1e11", 100_000_000_000),
    ("the last millisecond of the year 9999", b"253402300799999", MAX_TIME_MS),
    ("digits of seconds in a string", b'"1396860669.277"', 1_396_860_669_277),
    ("digits of milliseconds in a string", b'"1396860669277"', 1_396_860_669_277),
    ("digits between spaces", b'" 1396860669 "', 1_396_860_669_000),
    ("ISO 8601 with Z", b'"2014-04-07T08:51:09.277Z"', 1_396_860_669_277),
    ("ISO 8601 without a fraction", b'"2014-04-07T08:51:09Z"', 1_396_860_669_000),
    ("ISO 8601 with microseconds", b'"2014-04-07T08:51:09.277100Z"', 1_396_860_669_277),
    ("ISO 8601 with +00:00", b'"2014-04-07T08:51:09.277+00:00"', 1_396_860_669_277),
    ("ISO 8601 with an offset to the east", b'"2014-04-07T10:51:09.277+02:00"', 1_396_860_669_277),
    ("ISO 8601 with an offset to the west", b'"2014-04-07T04:51:09.277-04:00"', 1_396_860_669_277),
    ("ISO 8601 bare is UTC", b'"2014-04-07T08:51:09.277"', 1_396_860_669_277),
    ("with a space for the T", b'"2014-04-07 08:51:09.277"', 1_396_860_669_277),
    ("as RetailRocket and REES46 write it", b'"2014-04-07 08:51:09 UTC"', 1_396_860_669_000),
    ("a day", b'"2014-04-07"', 1_396_828_800_000),
    ("ISO 8601 between spaces", b'" 2014-04-07T08:51:09Z "', 1_396_860_669_000),
    ("the first moment", b'"1970-01-01T00:00:00Z"', 0),
    ("a year whose seconds look like milliseconds", b'"6000-01-01T00:00:00Z"', 127_174_492_800_000),
    ("the last ISO 8601 moment", b'"9999-12-31T23:59:59.999Z"', MAX_TIME_MS),
]


@pytest.mark.parametrize(("time", "expected"), [pytest.param(t, e, id=n) for n, t, e in TIMES])
def test_every_form_of_time_is_read_to_the_millisecond(time, expected):
    """Seconds, milliseconds, their digits and ISO 8601 all come out as whole milliseconds since 1970."""
    time_ms = parse_click(raw(time), MAX_BYTES).time_ms
    assert time_ms == expected
    assert type(time_ms) is int


CLICKS = [
    ("the least", GOOD, Click("v", "i", 1000)),
    ("all fields", raw(more=b',"id":"x","action":"cart"'), Click("v", "i", 1000, "x", "cart")),
    ("null for what is optional", raw(more=b',"id":null,"action":null'), Click("v", "i", 1000)),
    ("an empty id or action is none", raw(more=b',"id":"","action":""'), Click("v", "i", 1000)),
    ("other keys are ignored", raw(more=b',"page":{"id":[1,null,2e3]}'), Click("v", "i", 1000)),
    ("what is ignored is not read", raw(more=b',"page":"\xff","n":1e999'), Click("v", "i", 1000)),
    ("white space around it", b" \n" + GOOD + b"\r\n", Click("v", "i", 1000)),
    ("escapes", raw(visitor=b'"\\u00e9\\ud83d\\ude00\\u0000"'), Click("é😀\x00", "i", 1000)),
    ("of a key said twice the last counts", raw(more=b',"time":2'), Click("v", "i", 2000)),
    ("spaces are a name", raw(visitor=b'" "'), Click(" ", "i", 1000)),
]


@pytest.mark.parametrize(("value", "expected"), [pytest.param(v, e, id=n) for n, v, e in CLICKS])
def test_what_is_a_click_is_read_as_it_says(value, expected):
    """Optional fields may be missing, other keys may be there."""
    assert parse_click(value, MAX_BYTES) == expected


text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
clicks = st.builds(
    Click, text, text, st.integers(0, MAX_TIME_MS), id=st.none() | text, action=st.none() | text
)


@settings(max_examples=2000, deadline=None)
@given(clicks)
@example(Click("v", "i", 0))
@example(Click("v", "i", 99_999_999_999_999))
@example(Click("v", "i", 100_000_000_000_000))
@example(Click("v", "i", MAX_TIME_MS))
def test_a_click_that_is_written_is_read_again_as_it_was(click):
    """Writing and reading is the identity for every click, to the millisecond."""
    assert parse_click(encode_click(click), MAX_BYTES) == click


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, MAX_TIME_MS))
def test_a_moment_in_iso_8601_is_read_to_the_millisecond(time_ms):
    """ISO 8601 has no threshold: each millisecond of 1970 to 9999 is read as itself, in any zone."""
    moment = (datetime(1970, 1, 1) + timedelta(milliseconds=time_ms)).isoformat()  # noqa: DTZ001 -- bare
    assert parse_time_ms(moment) == parse_time_ms(moment + "Z") == parse_time_ms(moment + " UTC") == time_ms


def spoilt(draw_bytes):
    """A good click with a piece of it overwritten by any bytes."""
    at, length, put = draw_bytes
    value = raw(b"1396860669.277", more=b',"id":"x","action":"view"')
    return value[:at] + put + value[at + length :]


pieces = st.binary(max_size=6) | st.sampled_from(
    [
        b"null",
        b"NaN",
        b"1e999",
        b"[" * 2000,
        b'"',
        b"\\ud800",
        b"\xff",
        b"true",
        b"-",
        b"9" * 5000,
        b"{}",
        b",",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["visitor", "item", "time", "id", "action", "x"])


def as_json(value):
    """As the standard library's loose writer has it: with NaN and lone surrogates."""
    return json.dumps(value).encode()


values = (
    st.binary(max_size=60)
    | st.tuples(st.integers(0, 80), st.integers(0, 10), pieces).map(spoilt)
    | json_values.map(as_json)
    | st.dictionaries(fields, json_values | st.text() | st.integers(0, 10**13), max_size=6).map(as_json)
)


@settings(max_examples=4000, deadline=None)
@given(values, st.integers(0, 6000))
def test_any_bytes_are_a_click_or_are_refused_with_a_documented_reason(value, max_bytes):
    """Nothing but a click or a BadClickError comes out, whatever goes in; a click holds what it promises."""
    try:
        click = parse_click(value, max_bytes)
    except BadClickError as error:
        assert error.reason in BAD_REASONS  # noqa: PT017 -- both ways out are right; neither may be missed
        error.detail.encode()
    else:
        assert len(value) <= max_bytes
        assert click.visitor
        assert click.item
        assert 0 <= click.time_ms <= MAX_TIME_MS
        assert click.id != ""
        assert click.action != ""
        assert parse_click(encode_click(click), MAX_BYTES) == click


@settings(max_examples=2000, deadline=None)
@given(st.text(max_size=30) | st.floats() | st.integers() | st.datetimes().map(str))
def test_any_number_or_text_is_a_time_or_a_bad_time(time):
    """A time is in 1970 to 9999 or refused as a bad time, and nothing else."""
    try:
        assert 0 <= parse_time_ms(time) <= MAX_TIME_MS
    except BadClickError as error:
        assert error.reason == "bad_time"  # noqa: PT017 -- both ways out are right


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("visitor", MAX_NAME_BYTES),
        ("item", MAX_NAME_BYTES),
        ("id", MAX_NAME_BYTES),
        ("action", MAX_ACTION_BYTES),
    ],
)
def test_a_name_has_a_longest_length_in_bytes(field, most):
    """At the limit it is taken, a byte more is too large; a character may have several bytes."""
    click = {"visitor": "v", "item": "i", "time": 1.0}
    for name, fits in (("x" * most, True), ("x" * (most + 1), False), ("ü" * (most // 2 + 1), False)):
        value = json.dumps({**click, field: name}).encode()
        if fits:
            assert getattr(parse_click(value, 1_000_000), field) == name
        else:
            with pytest.raises(BadClickError, match=f"{field} has .* expected at most {most}") as error:
                parse_click(value, 1_000_000)
            assert error.value.reason == "too_large"
