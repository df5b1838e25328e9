"""The space that is searched, and steps within it."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.params import EXCLUDES, ScoringParameters
from core.presets import PRESETS, preset
from stream_app.tune.near import near, one_of_the_best
from stream_app.tune.space import FIXED, NEEDED, SPACE, Choice, Range, encode, suggest

SPAN_S = 86_400.0


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
