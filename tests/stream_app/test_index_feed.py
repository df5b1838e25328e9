"""What of the index's feed needs no broker."""

from __future__ import annotations

import pytest

from stream_app.index.feed import REST_FROM, REST_S, rest_s


@pytest.mark.parametrize(
    ("sessions", "share"), [(0, 0.0), (REST_FROM // 2, 0.5), (REST_FROM, 1.0), (50 * REST_FROM, 1.0)]
)
def test_the_feed_rests_the_less_the_fewer_sessions_the_index_has(sessions, share):
    """An empty index takes its first sessions in at once."""
    assert rest_s(sessions) == pytest.approx(share * REST_S)
