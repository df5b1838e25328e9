"""Every answer computed anew: the index as the sessions topic had it, the session as the log had it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.answers import Answer, decode_answer, encode_answer
from core.index import SessionIndex
from core.scoring import Scorer
from core.window.forgetting import Forgotten
from core.window.sessions import ClosedSession
from core.window.step import Query
from stream_app.settings import Settings


def answers_again(
    settings: Settings,
    entries: Mapping[int, ClosedSession | Forgotten],
    asked: Iterable[tuple[int, Query, int]],
) -> dict[tuple[int, int], Answer]:
    """Answer queries with the index that each was answered with.

    Args:
        settings: of the worker.
        entries: the sessions topic from its beginning, by offset.
        asked: partition, query and index offset of each answer.

    Returns:
        The answers by partition and offset of the click.
    """
    index = SessionIndex(settings.index_sessions)
    parameters = settings.scoring_parameters()
    scorer = Scorer(index, parameters)
    done, found = 0, {}
    for partition, query, offset in sorted(asked, key=lambda one: one[2]):
        index.take([entries[at] for at in range(done, offset) if at in entries])
        done = max(done, offset)
        (items,) = scorer.written(scorer.rank(scorer.numbered([(query.items, query.time_ms / 1000)])))
        written = encode_answer(query, partition, items, offset, parameters.name)
        found[partition, query.offset] = decode_answer(written)
    return found
