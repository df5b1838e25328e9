"""Java is found or named with what to install; the jars are whole or not there."""

from __future__ import annotations

import importlib.resources
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import BrokerError
from stream_app.kafka import jars as kafka_jars


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """A folder of commands, put before all others on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def put(path: Path, name: str, script: str) -> None:
    """Write a command."""
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


#: What the fake Maven does with its last argument, -DoutputDirectory=FOLDER, before each test's own ending.
FILL = 'for last; do :; done; folder="${last#*=}"; mkdir -p "$folder"; echo jar > "$folder/kafka.jar"; '


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ('openjdk version "17.0.2" 2022-01-18', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("something else", None),
    ],
)
def test_java_version(answer, version):
    """The major version is read from old and new ways of writing it."""
    assert kafka_jars.java_version(answer) == version


def test_pom_and_constant_agree():
    """The version that names the cache folder is the one that Maven fetches."""
    pom = (importlib.resources.files("stream_app.kafka") / "kafka-pom.xml").read_text()
    assert f"<version>{kafka_jars.KAFKA_VERSION}</version>" in pom


def test_no_java(monkeypatch, tmp_path):
    """Without Java the error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        BrokerError, match=r"`java` was not found.*apt-get install openjdk-17-jre-headless maven"
    ):
        kafka_jars.java()


def test_old_java(path):
    """A Java below 17 is named with its version."""
    put(path, "java", "echo 'openjdk version \"11.0.22\" 2024-01-16' >&2")
    with pytest.raises(BrokerError, match=r"needs Java 17 or newer; .*/java is Java 11; on Debian"):
        kafka_jars.java()


def test_no_maven(monkeypatch, tmp_path):
    """Without Maven the error says what to install, but only when the jars are not there yet."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=r"`mvn` was not found.*apt-get install"):
        kafka_jars.jars(tmp_path)
    (tmp_path / f"kafka-{kafka_jars.KAFKA_VERSION}").mkdir()
    assert kafka_jars.jars(tmp_path).is_dir()


def test_failed_fetch(path, tmp_path):
    """What Maven left half done is not taken for whole: the next call fetches again."""
    put(path, "mvn", FILL + "echo '[ERROR] no route'; exit 1")
    with pytest.raises(BrokerError, match=r"Maven cannot fetch Apache Kafka(.|\n)*no route"):
        kafka_jars.jars(tmp_path)
    assert not kafka_jars.are_fetched(tmp_path)
    put(path, "mvn", FILL)
    assert (kafka_jars.jars(tmp_path) / "kafka.jar").read_text() == "jar\n"
    assert sorted(found.name for found in tmp_path.iterdir() if found.name.startswith(".fetch")) == []


def test_two_at_once(path, tmp_path):
    """Two that need the jars at the same moment fetch them once, and both get them."""
    put(path, "mvn", f"echo >> {tmp_path}/calls; {FILL} sleep 0.3")
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(kafka_jars.jars, [tmp_path, tmp_path])
    assert first == second
    assert kafka_jars.are_fetched(tmp_path)
    assert (tmp_path / "calls").read_text() == "\n"


def test_cache_that_cannot_be_written(path, tmp_path):
    """A cache folder that cannot be made is an error that names the setting."""
    put(path, "mvn", FILL)
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match="NEXTCLICK_CACHE_DIR"):
        kafka_jars.jars(tmp_path / "file" / "cache")
