"""What ``/status`` says: made by the worker, read by ``nextclick status``."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any, Final

import msgspec

from core.errors import StatusError
from stream_app.settings import Settings

#: Seconds that a worker may take to answer.
ANSWER_S: Final = 10.0


class PartitionStatus(msgspec.Struct, frozen=True):
    """An assigned partition of the clicks topic; None where it is not known (yet).

    Attributes:
        partition: its number.
        finished: input offset after the last finished run.
        end: input offset after the last record, as the last fetch saw it.
        lag: records that were not handed over yet.
        open_sessions: sessions open in it.
        phase: what is done with it.
    """

    partition: int
    finished: int | None
    end: int | None
    lag: int | None
    open_sessions: int | None
    phase: str


class Reading(msgspec.Struct, frozen=True):
    """How far something that is read at a start has come.

    Attributes:
        done: records (offsets) read.
        left: those left; None where it is not known yet.
        a_second: read a second, of late.
        seconds_left: an estimate; None where there is none.
    """

    done: int
    left: int | None
    a_second: float
    seconds_left: float | None


class IndexStatus(msgspec.Struct, frozen=True):
    """The index, and how far it has the sessions topic.

    Attributes:
        sessions: closed sessions held.
        items: different items of them.
        clicks: clicks of them.
        bytes: memory of its arrays.
        offset: up to which it has the sessions topic.
        lag: records of that topic not yet taken in.
        snapshot_offset: up to which the newest snapshot has it; 0 without one.
        snapshot_age_s: how old that is; None without one.
        reading: what it reads at the start.
    """

    sessions: int
    items: int
    clicks: int
    bytes: int
    offset: int
    lag: int
    snapshot_offset: int
    snapshot_age_s: float | None
    reading: Reading


class Status(msgspec.Struct, frozen=True):
    """A worker at a moment.

    Attributes:
        version: of nextclick.
        group: its consumer group.
        uptime_s: since its start.
        seen_s: how long ago this was seen; it is seen anew each second.
        ready: whether it is assigned, recovered and its index caught up.
        waits_for: what it is not ready for, a sentence each.
        live: whether it makes progress.
        liveness: a sentence on that.
        partitions: those that it is assigned; none are for a worker that stands by.
        recovery: the restoring of the visitors' state from the changelog.
        index: the index.
        fingerprint: the same for workers that answer alike: of all settings but places, connections, logs.
        settings: those that are not at their default; secrets masked.
    """

    version: str
    group: str
    uptime_s: float
    seen_s: float
    ready: bool
    waits_for: list[str]
    live: bool
    liveness: str
    partitions: list[PartitionStatus]
    recovery: Reading
    index: IndexStatus
    fingerprint: str
    settings: dict[str, Any]


def read_status(settings: Settings, url: str | None = None) -> Status:
    """Ask a worker.

    Args:
        settings: where it listens, and the token that it wants.
        url: ask there instead; ``/status`` is put behind it where it is not.

    Raises:
        StatusError: nothing answers there, or something else than a worker, or it wants another token.
    """
    where = (url or _own_url(settings)).rstrip("/").removesuffix("/status") + "/status"
    if not where.startswith(("http://", "https://")):
        raise StatusError(f"{where} is no address of a worker, expected http://HOST:PORT")
    try:
        request = urllib.request.Request(where, headers=authorization(settings))  # noqa: S310 -- looked at above
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310 -- the same
            return msgspec.json.decode(answer.read(), type=Status)
    except urllib.error.HTTPError as error:
        advice = "set http_token to the worker's" if error.code in {401, 403} else "is it a worker's address?"
        raise StatusError(f"{where} answers {error.code} {error.reason}: {advice}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise StatusError(
            f"no worker answers at {where}: {reason}; is one running, and is that its metrics_host and "
            "metrics_port? --url asks another"
        ) from None


def authorization(settings: Settings) -> dict[str, str]:
    """The header that a worker's guarded pages want; none where they are open."""
    token = settings.http_token.get_secret_value()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _own_url(settings: Settings) -> str:
    # Where it listens on every address, this machine's own is one.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.metrics_host, settings.metrics_host)  # noqa: S104 -- not bound
    return (
        f"http://[{host}]:{settings.metrics_port}"
        if ":" in host
        else f"http://{host}:{settings.metrics_port}"
    )
