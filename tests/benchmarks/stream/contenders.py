"""The processes that are measured: nextclick, its peers, and the limit that no processor can pass."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.stream.place import make_topics, new_worker
from tests.worker_process import WorkerProcess

#: What each contender does and waits for; printed beside its figures.
DOES = {
    "nextclick": "sessions, scoring and answers; state written and confirmed after each run of up to 2,000 "
    "clicks; input offsets committed every 1 s",
    "faust_plain": "last item a visitor, forwards; Faust's defaults: each changelog record and each output "
    "sent by itself, input offsets committed every 2.8 s",
    "quix": "last item a visitor, forwards; Quix's defaults: a checkpoint every 5 s flushes the state, sends "
    "the last value of each visitor to the changelog and commits",
    "bare": "forwards, and that is all: aiokafka, each fetched run of up to 2,000 sent back; no state, no "
    "commit; the limit of the broker and the client",
}
SCRIPTS = {"faust_plain": "plain_faust.py", "quix": "plain_quix.py", "bare": "bare_echo.py"}


class Contender(NamedTuple):
    """Who is measured.

    Args:
        name: in the tables.
        kind: key of :data:`DOES`.
        preset: of nextclick's scorer; None for a peer.
    """

    name: str
    kind: str
    preset: str | None = None


def contenders(options) -> list[Contender]:
    """The worker with each preset, then the peers."""
    ours = [Contender(p if p != "vstan" else "", "nextclick", p) for p in options.presets]
    named = [one._replace(name=f"nextclick_{one.name}" if one.name else "nextclick") for one in ours]
    return named + [Contender(peer, peer) for peer in options.peers]


def prepare(place, options, contender, case):
    """Settings, topics and a process of a contender, which is not started."""
    settings = place.settings(case, **({"preset": contender.preset} if contender.preset else {}))
    make_topics(settings, changelog=contender.preset is not None)
    if contender.preset:
        return settings, new_worker(settings)
    python = options.peers_python if contender.kind == "quix" else sys.executable
    command = [str(python), str(Path(__file__).with_name(SCRIPTS[contender.kind]))]
    if contender.kind == "faust_plain":
        command += ["worker", "--without-web", "-l", "error"]
    return settings, WorkerProcess(settings, "peer", command)
