"""The jars of a local Apache Kafka: fetched once by Maven, kept in a cache folder.

Whole or not there: Maven fills a temporary folder, which is renamed when it is complete. A lock on a file
makes a second process wait for the first one's download instead of doing its own.
"""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from core.errors import BrokerError

logger = logging.getLogger(__name__)

#: The version in ``kafka-pom.xml``; a test holds the two together.
KAFKA_VERSION = "4.1.1"

#: The oldest Java that this Kafka's server runs on.
JAVA_VERSION = 17

#: Seconds that Maven may take to fetch some 45 MB.
FETCH_S = 900

INSTALL = "on Debian: apt-get install openjdk-17-jre-headless maven"


def are_fetched(cache: Path) -> bool:
    """Whether the jars are there, so that a start needs no network."""
    return _folder(cache).is_dir()


def jars(cache: Path) -> Path:
    """The folder of the jars, fetched if it is not there yet.

    Args:
        cache: the folder that keeps it, ``settings.cache_dir``.

    Raises:
        BrokerError: Maven is missing or fails, or the folder cannot be written.
    """
    target = _folder(cache)
    if target.is_dir():
        return target
    mvn = shutil.which("mvn")
    if mvn is None:
        raise BrokerError(f"a local Kafka is fetched by Maven, and `mvn` was not found; {INSTALL}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.with_name(target.name + ".lock")):
            if not target.is_dir():
                _fetch(mvn, target)
    except OSError as error:
        message = f"the jars of Kafka cannot be kept in {target}: {error.strerror}; set NEXTCLICK_CACHE_DIR"
        raise BrokerError(message) from None
    return target


def java() -> str:
    """The path of a Java that is new enough.

    Raises:
        BrokerError: no Java on the PATH, or one that is too old.
    """
    found = shutil.which("java")
    if found is None:
        raise BrokerError(
            f"a local Kafka needs Java {JAVA_VERSION} or newer, and `java` was not found; {INSTALL}"
        )
    try:
        answer = subprocess.run(
            [found, "-version"], capture_output=True, text=True, timeout=60, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"`{found} -version` does not answer: {error}") from None
    version = java_version(answer)
    if version is None or version < JAVA_VERSION:
        came = f"Java {version}" if version else f"a Java of unknown version ({answer.strip()[:80]!r})"
        raise BrokerError(f"a local Kafka needs Java {JAVA_VERSION} or newer; {found} is {came}; {INSTALL}")
    return found


def java_version(answer: str) -> int | None:
    """The major version in what ``java -version`` prints: 17 of ``17.0.2``, 8 of ``1.8.0_402``."""
    match = re.search(r'version "(?:1\.)?(\d+)', answer)
    return int(match[1]) if match else None


def _folder(cache: Path) -> Path:
    return cache.expanduser().absolute() / f"kafka-{KAFKA_VERSION}"


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the system releases it when its holder dies."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch(mvn: str, target: Path) -> None:
    logger.info("fetching Apache Kafka %s by Maven into %s (once, 43 MB)", KAFKA_VERSION, target)
    with (
        tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as temporary,
        resources.as_file(resources.files("stream_app.kafka") / "kafka-pom.xml") as pom,
    ):
        command = [
            mvn,
            "-q",
            "-B",
            "-f",
            str(pom),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={temporary}/jars",
        ]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=FETCH_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BrokerError(f"Maven did not fetch Apache Kafka in {FETCH_S} s; run this again") from None
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[:8])
            raise BrokerError(
                f"Maven cannot fetch Apache Kafka {KAFKA_VERSION} (is the network there?):\n{tail}"
            )
        Path(temporary, "jars").rename(target)
