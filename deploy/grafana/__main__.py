"""Write the dashboards of deploy/grafana/dashboards anew; `make docs` does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.kafka_inputs import kafka_inputs
from deploy.grafana.overview import overview
from deploy.grafana.recommendations import recommendations
from deploy.grafana.runbook import runbook
from deploy.grafana.stream import stream

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"

DASHBOARDS: Final = {
    "overview": overview,
    "recommendations": recommendations,
    "stream": stream,
    "kafka-inputs": kafka_inputs,
    "runbook": runbook,
}


def made(name: str) -> str:
    """The file of a dashboard as it should be."""
    return json.dumps(DASHBOARDS[name]().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main(folder: Path = FOLDER) -> None:
    """Write all dashboards."""
    for name in DASHBOARDS:
        (folder / f"{name}.json").write_text(made(name), encoding="utf-8")


if __name__ == "__main__":
    main()
