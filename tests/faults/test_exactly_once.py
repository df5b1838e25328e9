"""Two of the faults with ``guarantee = exactly_once``, in their short form: each answer is there once.

``NEXTCLICK_GUARANTEE=exactly_once make faults`` runs all of them so.
"""

from __future__ import annotations

import pytest

from tests.faults import cases_workers as cases


@pytest.fixture
def settings(settings):
    """Settings of workers that write in transactions."""
    return settings.model_copy(update={"guarantee": "exactly_once"})


def test_killed_at_each_moment_it_answers_once(settings):
    """A lone worker that dies around any step of a transaction and of a restore writes nothing twice."""
    assert cases.killed_at_each_moment(settings, 0.6).repeats == 0


def test_frozen_in_the_middle_of_a_transaction_it_is_refused(settings):
    """What a replaced worker has written is aborted by its successor, and its commit refused."""
    assert cases.frozen_in_the_middle_of_a_run(settings, 0.5).repeats == 0
