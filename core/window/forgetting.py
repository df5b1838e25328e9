"""Forgetting a visitor: the record on the sessions topic that says so, and what an index remembers of it.

A request to forget stands in the clicks' log (:class:`core.window.clicks.Forget`), once in each partition.
Whoever works on the partition drops the visitor's open session there and writes a :class:`Forgotten` to the
sessions topic. An index that takes it in removes all sessions of the visitor that it holds. It then refuses
those of that partition that had begun before the request, should they come later: a worker that was replaced
and does not know it yet may still publish one.

The record has a hash in place of the visitor's name, because the sessions topic is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from core.identity import visitor_key
from core.window.sessions import ClosedSession

#: Requests that an index remembers at most; the one that came first is dropped. Those of a single run, of
#: 100,000 records at most, are fewer, so a run's own order of requests and sessions never matters.
MOST_REMEMBERED: Final = 131_072


class Forgotten(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A visitor is forgotten as of a place in the clicks' log: a record of the sessions topic.

    Args:
        forget: :func:`core.identity.visitor_key` of the visitor, 16 hexadecimal digits.
        partition: of the request.
        before: offset of the request; sessions of this partition that began before it are meant.
        at: when the request was appended, milliseconds since 1970.
    """

    forget: str
    partition: int
    before: int
    at: int

    @property
    def key(self) -> int:
        """The visitor's hash."""
        return int(self.forget, 16)

    @property
    def record_key(self) -> bytes:
        """The key of the record; a later one of the same visitor and partition stands for both."""
        return f"forget-{self.forget}-{self.partition}".encode()


class _AnyForgotten(msgspec.Struct):
    forget: str


_session_decoder = msgspec.json.Decoder(ClosedSession)
_forgotten_decoder = msgspec.json.Decoder(Forgotten)
_any_forgotten_decoder = msgspec.json.Decoder(_AnyForgotten)


def decode_entry(value: bytes) -> ClosedSession | Forgotten:
    """Read the value of a record of the sessions topic.

    Raises:
        msgspec.DecodeError: it is neither a session nor says that a visitor is forgotten.
        UnicodeDecodeError: it is no text.
    """
    try:
        return _session_decoder.decode(value)
    except msgspec.ValidationError as error:
        try:
            _any_forgotten_decoder.decode(value)
        except msgspec.ValidationError:
            raise error from None
    found = _forgotten_decoder.decode(value)
    if len(found.forget) != 16 or not set(found.forget) <= set("0123456789abcdef"):  # noqa: PLR2004 -- as said
        raise msgspec.ValidationError(f"forget is {found.forget!r:.40}, expected 16 hexadecimal digits")
    return found


class _Since(NamedTuple):
    before: int
    at: int


class Memory:
    """The requests that an index has obeyed, the newest :data:`MOST_REMEMBERED`.

    Args:
        requests: to begin with, in the order in which they came.
    """

    def __init__(self, requests: Iterable[tuple[int, int, int, int]] = ()) -> None:
        self._since: dict[tuple[int, int], _Since] = {
            (key, partition): _Since(before, at) for key, partition, before, at in requests
        }

    def __len__(self) -> int:
        return len(self._since)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """Each request: the visitor's hash, partition, offset and time, in the order in which they came."""
        return ((*who, *since) for who, since in self._since.items())

    def note(self, record: Forgotten) -> bool:
        """Remember a request; False where it is one that came before, written again after a crash."""
        who, since = (record.key, record.partition), _Since(record.before, record.at)
        known = self._since.pop(who, since)
        repeated = known is not since and since.before <= known.before and since.at <= known.at
        self._since[who] = known if repeated else since
        if len(self._since) > MOST_REMEMBERED:
            del self._since[next(iter(self._since))]
        return not repeated

    def bars(self, session: ClosedSession) -> bool:
        """Whether a session had begun when its visitor was forgotten in its partition."""
        if not self._since:
            return False
        partition, _, offset = session.session.partition("-")
        if not (partition.isdecimal() and offset.isdecimal()):
            return False
        since = self._since.get((visitor_key(session.visitor), int(partition[:18])))
        return since is not None and int(offset[:18]) < since.before
