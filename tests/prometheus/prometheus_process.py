"""A real Prometheus on the loopback, with the rules of deploy/prometheus and everything else in a folder."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml

from stream_app.kafka.broker_process import free_ports
from tests.prometheus.binaries import ROOT, program

CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yml"

#: Bounds, seconds; the machine may be busy with other things.
READY_S = 60.0
POLL_S = 0.2


class Sample(NamedTuple):
    """One series of an answer."""

    labels: dict[str, str]
    value: float


class PrometheusProcess:
    """Prometheus in a process of its own; ended at the end of a ``with`` block.

    Args:
        folder: of its configuration, its data and its log.
        targets: workers, `host:port`.
        interval: of scrapes and of rules, as Prometheus writes it.
    """

    def __init__(self, folder: Path, targets: list[str], interval: str = "1s") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
        config["rule_files"] = [str(CONFIG.parent / pattern) for pattern in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._folder = folder
        self._address = f"127.0.0.1:{free_ports(1)[0]}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program("prometheus"),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._address}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise AssertionError(f"Prometheus is not ready:\n{(self._folder / 'log').read_text()}")
            time.sleep(POLL_S)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def query(self, promql: str) -> list[Sample]:
        """What an expression comes to now; a scalar is one series without labels.

        Raises:
            AssertionError: Prometheus does not take it.
        """
        answer = self.ask("query", query=promql)
        found = answer["result"]
        if answer["resultType"] == "scalar":
            return [Sample({}, float(found[1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in found]

    def ask(self, what: str, **parameters: str) -> Any:
        """The data of an answer of its HTTP API."""
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False
