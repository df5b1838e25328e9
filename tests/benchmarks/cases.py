"""One case of the benchmark of the engine, in a process of its own, so that its memory is its own.

    python -m tests.benchmarks.cases '{"kind": "synthetic", "clicks": 1000000, ...}'

prints what it found as JSON; :mod:`tests.benchmarks.scoring` starts it. The folder of compiled kernels is the
one that NUMBA_CACHE_DIR names.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

from core.index import SessionIndex
from core.presets import PRESETS, preset
from core.scoring import Scorer
from core.window.sessions import ClosedSession
from tests.benchmarks import datasets, measure, peers, serenade
from tests.benchmarks.synthetic import FRESH, Synthetic, catalogue_of

#: Sessions that are learnt one run after the other into a full index, to time it.
LEARNT = 20_000

#: Times over that the engine answers what a peer answers once: it is done too fast for the clock otherwise.
REPEATS = 20

#: A generated stream where yoochoose is absent: as many clicks and items, nearly.
STAND_IN_CLICKS, STAND_IN_ITEMS = 70_000, 3000


def closed(number, items, end_s):
    """A session as it comes from the sessions topic."""
    end_ms = round(end_s * 1000)
    return ClosedSession(
        f"0-{number}", "", items, (end_ms,) * len(items), end_ms, end_ms, "gap", len(items), actions=()
    )


def say(text):
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def learn(index, sessions, clock=measure.CLOCKS["wall"], first=0):
    """Add closed sessions in runs of :data:`measure.RUN`; the seconds that adding took.

    ``first`` is the number that the first session's id is made of.
    """
    run, seconds = [], 0.0
    for number, (items, end_s) in enumerate(sessions, first):
        run.append(closed(number, items, end_s))
        if len(run) == measure.RUN:
            seconds += _seconds(clock, index.add, run)
            run = []
    return seconds + _seconds(clock, index.add, run)


def _seconds(clock, function, *arguments):
    began = clock()
    function(*arguments)
    return (clock() - began) / 1e9


def named(block):
    """Sessions of a block as (names of items, time in seconds)."""
    names, starts = list(map(str, block.items.tolist())), block.starts.tolist()
    for start, end, end_s in zip(starts[:-1], starts[1:], block.ends_s.tolist(), strict=True):
        yield tuple(names[start:end]), end_s


def latency(index, parameters, queries, options):
    """Figures of one setting: of each way to answer, runs of 1 and of 500, and a query without an item."""
    before = measure.resident_bytes()
    scorer = Scorer(index, parameters)
    rounds, clock = options["rounds"], measure.CLOCKS[options["clock"]]
    found = []
    ways = {"ranked": lambda asked: scorer.rank(scorer.numbered(asked)), "answers": scorer.score}
    for way, answer in ways.items():
        empty = [((), queries[-1][1])] * 1000
        figures = {
            "way": way,
            "queries": len(queries),
            "rounds": rounds,
            **measure.one_by_one(answer, queries, rounds, clock),
            **measure.in_runs(answer, queries, rounds, clock),
            "empty_query_us": measure.one_by_one(answer, empty, rounds, clock)["p50_us"],
        }
        say(f"    {way}: p50 {figures['p50_us']:.1f} us, p90 {figures['p90_us']:.1f} us")
        found.append(figures)
    # Measured while the scorer lives: its room to work in goes with it.
    growth = measure.resident_bytes() - before
    return [{**figures, "scorer_growth": growth} for figures in found]


def latencies(data, index, settings, queries, options):
    """Rows of the table of latencies: each setting, each way, beside Serenade's where it was measured."""
    rows = []
    for setting in settings:
        say(f"  {data}, {setting}")
        measured = serenade.MEASURED.get(data, {}).get(setting)
        theirs = dict(zip(("p50_us", "p90_us", "p99_us"), measured, strict=True)) if measured else None
        rows.extend(
            {
                "data": data,
                "setting": setting,
                "exclude": serenade.parameters(setting).exclude,
                "sessions": index.sessions,
                "clicks": index.clicks,
                "items": index.items,
                **figures,
                "serenade": theirs,
                "ratio": {name: figures[name] / us for name, us in theirs.items()} if theirs else None,
            }
            for figures in latency(index, serenade.parameters(setting), queries, options)
        )
    return rows


def run_real(options):
    """A real data set: latencies in all settings, and the time to learn it."""
    name = options["data"]
    sessions = datasets.read(name, Path(options["folder"]))
    queries = sessions.queries[:: max(1, len(sessions.queries) // options["queries"])]
    Scorer(SessionIndex(2), PRESETS["vstan"]).warm_up()
    index = SessionIndex(len(sessions.train))
    seconds = learn(index, sessions.train, measure.CLOCKS[options["clock"]])
    settings = options["settings"] or [serenade.WHOLE_SESSION, *serenade.SETTINGS]
    return {
        "latency": latencies(name, index, settings, queries, options),
        "build": [_built(name, index, seconds, "sessions in runs of 500")],
    }


def _built(data, index, seconds, how):
    return {
        "data": data,
        "sessions": index.sessions,
        "clicks": index.clicks,
        "items": index.items,
        "seconds": seconds,
        "sessions_per_s": index.sessions / seconds,
        "how": how,
    }


def run_synthetic(options):
    """Generated sessions: memory while the index is built, latencies, and learning into a full index."""
    clicks = options["clicks"]
    data = f"{clicks / 1e6:g} M"
    stream = Synthetic(catalogue_of(clicks), options["seed"])
    sessions = stream.sessions(clicks)
    _warm(stream)
    before = measure.resident_bytes()
    measure.forget_peak()
    index, seconds = _build(stream, clicks, sessions, measure.CLOCKS[options["clock"]])
    peak = measure.peak_bytes()
    after = measure.resident_bytes()
    built = _built(data, index, seconds, "arrays of numbered items")
    memory = _memory(data, index, after - before, peak - before)
    queries = stream.queries(options["queries"], sessions)
    rows = latencies(data, index, options["settings"] or list(serenade.SETTINGS), queries, options)
    memory["scorer_growth"] = max(row["scorer_growth"] for row in rows)
    fresh = [
        (items, (sessions + number) * 1.0)
        for number, (items, _) in zip(range(LEARNT), named(stream.block(FRESH + 1)), strict=False)
    ]
    learnt = _built(data, index, learn(index, fresh, measure.CLOCKS[options["clock"]], sessions), "")
    learnt |= {"sessions": LEARNT, "sessions_per_s": LEARNT / learnt["seconds"]}
    learnt["how"] = "sessions in runs of 500 into a full index, each pushes the oldest out"
    return {"latency": rows, "build": [built, learnt], "memory": [memory]}


def _warm(stream):
    """Do all once in small: what is loaded or compiled on first use is not the index's memory."""
    index = SessionIndex(1000)
    learn(index, [session for session, _ in zip(named(stream.block(0)), range(2000), strict=False)])
    for setting in serenade.SETTINGS:
        Scorer(index, serenade.parameters(setting)).score(stream.queries(10, 0))
    SessionIndex(1000).add_numbered(*stream.block(0))


def _build(stream, clicks, sessions, clock):
    """The index, and the seconds that adding took."""
    index, seconds, done = SessionIndex(sessions), 0.0, 0
    for block in stream.blocks(clicks):
        seconds += _seconds(clock, index.add_numbered, *block)
        done += len(block.ends_s)
        say(f"  {done:,} of {sessions:,} sessions in {seconds:.1f} s")
    return index, seconds


def _memory(data, index, grown, peak):
    names = measure.names_bytes(index)
    return {
        "data": data,
        "clicks": index.clicks,
        "sessions": index.sessions,
        "items": index.items,
        "index_bytes": index.bytes,
        "index_bytes_a_click": index.bytes / index.clicks,
        "names_bytes": names,
        "resident_growth": grown,
        "resident_bytes_a_click": (grown - names) / index.clicks,
        "peak_growth": peak,
    }


def run_start(options):
    """Seconds until the first query can be answered, of this process."""
    began = time.perf_counter()
    Scorer(SessionIndex(2), PRESETS[options["preset"]]).warm_up()
    return {"warm_up_s": time.perf_counter() - began}


def run_peers(options):
    """The engine and its peers on the same sessions and queries, one after the other in each round."""
    data = options["data"]
    if data == "generated":
        stream = Synthetic(STAND_IN_ITEMS, options["seed"])
        train = [session for block in stream.blocks(STAND_IN_CLICKS) for session in named(block)]
        queries = stream.queries(10_000, len(train))
    else:
        train, queries = datasets.read(data, Path(options["folder"]))
    queries = queries[:: max(1, len(queries) // options["peer_queries"])]
    index = SessionIndex(len(train))
    learn(index, train)
    contests = [
        ("wsknn, common_items", peers.Wsknn(train, "common_items"), _wsknn_parameters()),
        ("wsknn, recent", peers.Wsknn(train, "recent"), _wsknn_parameters()),
    ]
    if data != "movielens":  # histories of hundreds of items are not what it is for
        contests.append(
            ("VS-kNN in pandas' terms", peers.PandasVsknn(train), preset("vsknn", exclude="none"))
        )
    rows = []
    for name, peer, parameters in contests:
        say(f"  {data}, beside {name}")
        contest = _contest(Scorer(index, parameters), peer, queries, options)
        rows.append({"data": data, "peer": name, **contest})
    return {"peers": rows}


def _wsknn_parameters():
    """The engine's nearest to wsknn's defaults; its sample is the newest sessions of each item."""
    if "wsknn" in PRESETS:
        return preset("wsknn", exclude="none", **peers.WSKNN_DEFAULTS)
    return preset(
        "vsknn",
        exclude="none",
        position_weight="linear",
        score_weight="linear",
        idf_score=0.0,
        **peers.WSKNN_DEFAULTS,
    )


def _contest(scorer, peer, queries, options):
    ours, theirs, clock = [], [], measure.CLOCKS[options["clock"]]

    def answer(query):
        return scorer.score([query])

    measure.mean_us(answer, queries)
    for _ in range(options["rounds"]):
        ours.append(measure.mean_us(answer, queries, REPEATS, clock))
        theirs.append(measure.mean_us(lambda query: peer.recommend(query[0]), queries, clock=clock))
    same = sum(_first(scorer, query) == (peer.recommend(query[0]) or [None])[0] for query in queries)
    us, peer_us = median(ours), median(theirs)
    # The same queries over again, so that there is a whole run of them.
    run = (queries * measure.RUN)[: measure.RUN]
    in_runs = measure.in_runs(scorer.score, run, options["rounds"], clock)["us_a_query_in_runs"]
    return {
        "queries": len(queries),
        "rounds": options["rounds"],
        "us_a_query": us,
        "peer_us_a_query": peer_us,
        "ratio": peer_us / us,
        "us_a_query_in_runs": in_runs,
        "ratio_in_runs": peer_us / in_runs,
        "same_first_item": same / len(queries),
    }


def _first(scorer, query):
    [recommended] = scorer.score([query])
    return recommended[0].item if recommended else None


KINDS = {"real": run_real, "synthetic": run_synthetic, "start": run_start, "peers": run_peers}


def main():
    """Run the case that the first argument describes."""
    options = json.loads(sys.argv[1])
    print(json.dumps(KINDS[options["kind"]](options)))


if __name__ == "__main__":
    main()
