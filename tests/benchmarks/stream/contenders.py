"""The processes that are measured: nextclick, its peers, and the limit that no processor can pass."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from stream_app.settings import Settings
from tests.benchmarks.stream.place import make_topics, new_worker
from tests.worker_process import WorkerProcess

#: Clicks of a run at most, unless said otherwise.
RUN_CLICKS = Settings.model_fields["max_run_clicks"].default

#: What each contender does and waits for; printed beside its figures.
DOES = {
    "nextclick": "sessions, scoring and answers; state written and confirmed after each run of up to "
    f"{RUN_CLICKS:,} clicks; input offsets committed every 1 s",
    "faust_plain": "last item a visitor, forwards; Faust's defaults: each changelog record and each output "
    "sent by itself, input offsets committed every 2.8 s",
    "quix": "last item a visitor, forwards; Quix's defaults: a checkpoint every 5 s flushes the state, sends "
    "the last value of each visitor to the changelog and commits",
    "bare": f"forwards, and that is all: aiokafka, each fetched run of up to {RUN_CLICKS:,} sent back; no "
    "state, no commit; the limit of the broker and the client",
}
SCRIPTS = {"faust_plain": "plain_faust.py", "quix": "plain_quix.py", "bare": "bare_echo.py"}


class Contender(NamedTuple):
    """Who is measured.

    Args:
        name: in the tables.
        kind: key of :data:`DOES`.
        preset: of nextclick's scorer; None for a peer.
        guarantee: of nextclick and of Faust, which call them by the same names.
    """

    name: str
    kind: str
    preset: str | None = None
    guarantee: str = "at_least_once"


def contenders(options) -> list[Contender]:
    """The worker with each preset, then the peers."""
    ours = [Contender(p if p != "vstan" else "", "nextclick", p) for p in options.presets]
    named = [one._replace(name=f"nextclick_{one.name}" if one.name else "nextclick") for one in ours]
    return named + [Contender(peer, peer) for peer in options.peers]


def prepare(place, options, contender, case):
    """Settings, topics and a process of a contender, which is not started."""
    changes = {"preset": contender.preset} if contender.preset else {}
    settings = place.settings(case, guarantee=contender.guarantee, **changes)
    make_topics(settings, changelog=contender.preset is not None)
    if contender.preset:
        return settings, new_worker(settings)
    python = options.peers_python if contender.kind == "quix" else sys.executable
    command = [str(python), str(Path(__file__).with_name(SCRIPTS[contender.kind]))]
    if contender.kind == "faust_plain":
        command += ["worker", "--without-web", "-l", "error"]
    return settings, WorkerProcess(settings, "peer", command)
