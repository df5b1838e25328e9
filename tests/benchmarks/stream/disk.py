"""What a click leaves on disks: bytes of each topic's log, not compressed, and of the index's snapshot."""

from __future__ import annotations

from typing import Final

from stream_app.kafka.topics import changelog_topic
from tests.benchmarks.stream.load import clicks_of, fill
from tests.benchmarks.stream.place import make_topics, new_worker, say
from tests.worker_process import wait_until

#: Clicks of the case; the quick form has fewer.
CLICKS: Final = 50_000
QUICK_CLICKS: Final = 2000
BOUND_S: Final = 600.0


def run_disk(place, options):
    """Bytes a click, a session and an answer, after a worker has answered everything and was stopped."""
    settings = place.settings("disk")
    make_topics(settings)
    clicks = clicks_of(place.load, QUICK_CLICKS if options.quick else CLICKS)
    fill(settings, place.load, clicks)
    with new_worker(settings) as worker:
        worker.start().wait_ready()

        def done(name, count):
            return lambda: worker.metrics().get(name, 0) >= count

        wait_until(
            done("nextclick_recommendations_total", len(clicks)), "all are answered", BOUND_S, [worker]
        )
        seen = worker.metrics()
        worker.terminate(60)
        (snapshot, *_) = sorted(worker.data_dir.rglob("*.snapshot"), key=lambda file: -file.stat().st_mtime)
        snapshot_bytes = snapshot.stat().st_size
    sessions = round(seen["nextclick_index_sessions"])
    closed = round(seen["nextclick_sessions_closed_total"])
    log = {
        "clicks": _log_bytes(place, settings.clicks_topic),
        "recommendations": _log_bytes(place, settings.recommendations_topic),
        "changelog": _log_bytes(place, changelog_topic(settings)),
        "sessions": _log_bytes(place, settings.sessions_topic),
    }
    found = {
        "clicks": len(clicks),
        "sessions_closed": closed,
        "sessions_published": len(place.load.learnt) + closed,
        "click_bytes": round(log["clicks"] / len(clicks)),
        "answer_bytes": round(log["recommendations"] / len(clicks)),
        "changelog_bytes_a_click": round(log["changelog"] / len(clicks)),
        "session_bytes": round(log["sessions"] / (len(place.load.learnt) + closed)),
        "clicks_a_session": round(seen["nextclick_index_clicks"] / sessions, 2),
        "snapshot_bytes_a_session": round(snapshot_bytes / sessions, 1),
        "index_bytes_a_session": round(seen["nextclick_index_bytes"] / sessions, 1),
    }
    say(f"  {found}")
    return {"disk": found}


def _log_bytes(place, topic):
    """Bytes of the log segments of all partitions of a topic."""
    folder = place.folder / "kafka" / "data"
    return sum(file.stat().st_size for file in folder.glob(f"{topic}-[0-9]*/*.log"))
