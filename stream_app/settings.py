"""All settings, read in this file and nowhere else: from ``NEXTCLICK_…`` variables and a TOML file.

A variable wins over the file, the file wins over the default. ``docs/settings.md`` is the same table for
people; a test holds the two together.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, WithJsonSchema, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as SourceError

from core.errors import SettingsError
from core.params import ScoringParameters
from core.presets import PRESETS
from core.window.placement import Unkeyed
from core.window.sessions import WindowRules
from stream_app.scoring_file import (
    DEFAULT_PRESET,
    FLAT_KEYS,
    known_preset,
    read_toml,
    scoring_parameters,
)

ENV_PREFIX = "NEXTCLICK_"

#: Variables of the prefix that are not settings of the worker: where the settings file is, and where the
#: tests find their data.
OTHER_VARIABLES = frozenset({"NEXTCLICK_CONFIG", "NEXTCLICK_DATA"})

Port = Annotated[int, Field(ge=0, le=65535)]
PositiveInt = Annotated[int, Field(ge=1)]
#: What Kafka takes for a topic's name; a group's is part of one.
Name = Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]*$")]
InstanceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


def _preset(name: str) -> str:
    try:
        return known_preset(name, "no such preset:")
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _servers(text: str) -> str:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts or [text]:
        form = re.fullmatch(r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s/:@,\[\]]+)(?::([0-9]{1,5}))?", part)
        if form is None or not 0 < int(form[1] or 1) < 1 << 16:
            msg = f"expected host:port, or several apart by commas, with ports of 1 to 65535; came {part!r}"
            raise ValueError(msg)
    return ",".join(parts)


Servers = Annotated[str, AfterValidator(_servers)]
PresetName = Annotated[
    str, AfterValidator(_preset), WithJsonSchema({"type": "string", "enum": list(PRESETS)})
]


class Settings(BaseSettings):
    """What a worker, a replay or a demo runs with. Frozen, typed and closed: an unknown key is an error."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    # Kafka
    bootstrap_servers: Servers = Field(
        "127.0.0.1:9092", description="Kafka brokers, `host:port` apart by commas"
    )
    group_id: Name = Field("nextclick", description="consumer group; also the prefix of the changelog's name")
    group_instance_id: InstanceId | None = Field(
        None,
        description="this worker's own name in the group, as its pod's: one that stops and comes back "
        "under it within session_timeout_s finds its partitions again, and the others do not stop for it",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how to speak to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="only with a `SASL_…` protocol"
    )
    sasl_username: str = Field("", description="only with a `SASL_…` protocol")
    sasl_password: SecretStr = Field(SecretStr(""), description="never printed or logged")
    ssl_ca_file: Path | None = Field(
        None, description="PEM file of the authority that signed the brokers' certificates; else the system's"
    )
    ssl_cert_file: Path | None = Field(
        None, description="PEM file of this client's certificate, where the brokers want one"
    )
    ssl_key_file: Path | None = Field(None, description="PEM file of its key; else it is in `ssl_cert_file`")
    ssl_key_password: SecretStr = Field(SecretStr(""), description="of that key; never printed or logged")
    session_timeout_s: Annotated[float, Field(ge=6, le=300)] = Field(
        10.0, description="a worker that is silent for so long loses its partitions, seconds"
    )
    commit_interval_s: Annotated[float, Field(gt=0, le=60)] = Field(
        1.0, description="how often input offsets are committed, seconds"
    )

    guarantee: Literal["at_least_once", "exactly_once"] = Field(
        "at_least_once",
        description="`exactly_once`: what a run writes is one Kafka transaction, so that readers with "
        "`isolation.level=read_committed` see each answer once, whatever happens; slower",
    )

    # Topics
    clicks_topic: Name = Field("clicks", description="input, keyed by visitor")
    recommendations_topic: Name = Field("recommendations", description="output, one answer a click")
    sessions_topic: Name = Field("sessions", description="closed sessions, one partition")
    dead_letters_topic: Name = Field("dead-letters", description="unusable records, as they came")
    partitions: Annotated[int, Field(ge=1, le=1000)] = Field(
        4, description="partitions of clicks and recommendations, used by `nextclick topics create`"
    )
    replication_factor: Annotated[int, Field(ge=1, le=16)] = Field(
        1, description="copies of each topic, used by `nextclick topics create` and for the changelog"
    )

    unkeyed: Unkeyed = Field(
        "accept",
        description="what is done with a click whose key is not its visitor and that is not in the partition "
        "of the visitor either: `accept` it where it is, `refuse` it to dead-letters, or `repartition` it by "
        "writing it again with its key",
    )

    # The window
    gap_s: Annotated[float, Field(gt=0)] = Field(
        1200.0, description="a click so long after the last one opens a new session, seconds of event time"
    )
    grace_s: Annotated[float, Field(ge=0)] = Field(
        60.0, description="a click may be so far behind its partition's watermark, seconds of event time"
    )
    future_s: Annotated[float, Field(ge=0)] = Field(
        300.0, description="a click so far ahead of its append to the log is from a broken clock, seconds"
    )
    max_clicks: Annotated[int, Field(ge=2, le=1000)] = Field(
        200, description="a session past this is still answered, but grows no more and is not learnt"
    )
    close_idle: bool = Field(True, description="close sessions of a partition without traffic by the clock")
    idle_s: Annotated[float, Field(gt=0)] | None = Field(
        None, description="a partition without a click for so long is idle, seconds; default gap_s + grace_s"
    )
    max_value_bytes: Annotated[int, Field(ge=256, le=16 * 1024 * 1024)] = Field(
        65_536, description="a larger record is not a click, bytes"
    )

    # The index and its scoring
    preset: PresetName = Field(
        DEFAULT_PRESET,
        description="parameters of the scorer, by name; `baskets` where the order says nothing",
    )
    exclude: Literal["none", "current", "session"] = Field(
        "current",
        description="what an answer leaves out: nothing, the session's last item, all of its items",
    )
    recommendations: Annotated[int, Field(ge=1, le=100)] = Field(20, description="items in an answer")
    neighbours: PositiveInt | None = Field(None, description="k, similar sessions used; default the preset's")
    sessions_per_item: PositiveInt | None = Field(
        None, description="m, newest sessions of an item that are looked at; default the preset's"
    )
    last_clicks: PositiveInt | None = Field(
        None, description="L, newest clicks of a session that are used; default the preset's"
    )
    scoring: dict[str, Any] = Field(
        {},
        description="any of the scorer's parameters, over the preset's: a table in the file, JSON in the "
        "variable; the six settings above win over it",
    )
    index_sessions: Annotated[int, Field(ge=1, le=16_000_000)] = Field(
        500_000, description="closed sessions held in memory; the oldest leaves first"
    )

    # The worker
    data_dir: Path = Field(
        Path("nextclick-data"),
        description="folder of RocksDB and of the index's snapshots; one for each worker",
    )
    snapshot_every_s: Annotated[float, Field(ge=0)] = Field(
        600.0,
        description="how often the index is written to data_dir, and at a stop, for the next start to begin "
        "with, seconds; 0: never, every start reads all of the sessions topic",
    )
    cache_dir: Path = Field(
        Path("~/.cache/nextclick"), description="folder of compiled kernels and of the local Kafka's files"
    )
    prepared_dir: Path | None = Field(
        None,
        description="a cache_dir that `nextclick compile` has filled beforehand, for an image; it is only "
        "read, and what it has is not compiled again",
    )
    kernels_cpu: Literal["native", "generic"] = Field(
        "native",
        description="kernels are compiled for the processor at hand, or, as an image needs them, for every "
        "one of its architecture",
    )
    transport: Literal["runs", "faust"] = Field(
        "runs",
        description="`runs`: what one fetch brings is one message; `faust`: a click is one, as Faust has it, "
        "several times slower, for when another Faust breaks the former",
    )
    max_run_clicks: Annotated[int, Field(ge=1, le=100_000)] = Field(
        2000, description="clicks that are processed and written together at most"
    )
    scoring_threads: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="runs that are scored at the same time at most; more than cores is of no use"
    )
    rocksdb_cache_mb: Annotated[int, Field(ge=1, le=65_536)] = Field(
        32, description="block cache of each partition's RocksDB, MiB"
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address that /metrics, /status, /live and /ready listen on"
    )
    metrics_port: Port = Field(9464, description="their port; 0 takes a free one and logs it")
    http_token: SecretStr = Field(
        SecretStr(""),
        description="/metrics and /status want `Authorization: Bearer` and this; empty: they are open. "
        "Never printed or logged",
    )
    stall_s: Annotated[float, Field(ge=10, le=3600)] = Field(
        60.0, description="a partition that has input and finishes nothing for so long is stalled, seconds"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="`json`: one object a line, with `time`, `level`, `logger`, `message` and fields"
    )

    @model_validator(mode="before")
    @classmethod
    def _lift_from_scoring(cls, given: Any) -> Any:
        """What ``[scoring]`` says is said by the flat settings too, where these are not given themselves.

        So they hold what is in force, and the variables of :meth:`environment` mean the same.
        """
        table = given.get("scoring") if isinstance(given, dict) else None
        if not isinstance(table, dict):
            return given
        lifted = {key: table[key] for key in FLAT_KEYS if key in table and given.get(key) is None}
        return {**given, **lifted}

    @model_validator(mode="after")
    def _scoring_is_right(self) -> Settings:
        self.scoring_parameters()
        return self

    @model_validator(mode="after")
    def _security_is_complete(self) -> Settings:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password.get_secret_value()
        ):
            msg = "security_protocol is SASL, so sasl_username and sasl_password are needed"
            raise ValueError(msg)
        if not re.fullmatch(r"[!-~]*", self.http_token.get_secret_value()):
            msg = "http_token goes into a header: expected printable ASCII without blanks"
            raise ValueError(msg)
        if self.ssl_key_file and not self.ssl_cert_file:
            msg = "ssl_key_file is the key of ssl_cert_file, which is not set"
            raise ValueError(msg)
        return self

    @property
    def idle_after_s(self) -> float:
        """Seconds without a click after which a partition is idle."""
        return self.gap_s + self.grace_s if self.idle_s is None else self.idle_s

    def window_rules(self) -> WindowRules:
        """The session window's parameters, for the worker and for whoever finds sessions in a file."""
        return WindowRules(
            gap_ms=round(self.gap_s * 1000),
            grace_ms=round(self.grace_s * 1000),
            future_ms=round(self.future_s * 1000),
            max_clicks=self.max_clicks,
        )

    def scoring_parameters(self) -> ScoringParameters:
        """The scorer's parameters: the preset, changed by ``scoring``, changed by the flat settings.

        Their name is the preset's where nothing differs from it; see :mod:`stream_app.scoring_file`.

        Raises:
            SettingsError: ``scoring`` has an unknown key or a value out of its range.
        """
        return scoring_parameters(self.scoring, {key: getattr(self, key) for key in FLAT_KEYS})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Options first, then variables, then the file that ``NEXTCLICK_CONFIG`` names."""
        del dotenv_settings, file_secret_settings
        file = os.environ.get("NEXTCLICK_CONFIG")
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *toml)

    def public(self) -> dict[str, Any]:
        """All settings as plain values, secrets masked."""
        return self.model_dump(mode="json")

    def with_secrets(self) -> dict[str, Any]:
        """All settings as plain values, the secrets among them: for another process, never for a log."""
        return {**self.public(), **{key: getattr(self, key).get_secret_value() for key in SECRETS}}

    def environment(self) -> dict[str, str]:
        """The variables that make another process run with these settings. They hold the secrets."""
        return {
            f"{ENV_PREFIX}{key.upper()}": json.dumps(value) if isinstance(value, dict) else str(value)
            for key, value in self.with_secrets().items()
            if value is not None
        }


#: Settings that are never shown.
SECRETS = frozenset(name for name, field in Settings.model_fields.items() if field.annotation is SecretStr)


def load_settings(config: Path | None = None, **options: Any) -> Settings:
    """Read the settings.

    Args:
        config: a TOML file; ``NEXTCLICK_CONFIG`` names it when this is None.
        options: settings given on a command line; None means not given.

    Raises:
        SettingsError: an unknown key (with the nearest known name), a value out of its range, no such file.
    """
    file = config or (Path(os.environ["NEXTCLICK_CONFIG"]) if os.environ.get("NEXTCLICK_CONFIG") else None)
    if file is not None:
        _refuse_unknown_keys_of(file)
    _refuse_unknown_variables()
    before = os.environ.get("NEXTCLICK_CONFIG")
    try:
        if file is not None:
            os.environ["NEXTCLICK_CONFIG"] = str(file)
        return Settings(**{key: value for key, value in options.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    except SourceError:
        # The only setting that is read as JSON; the cause, which quotes variables, is left out.
        raise SettingsError(
            f'{ENV_PREFIX}SCORING is not JSON, expected an object such as {{"neighbours": 300}}'
        ) from None
    finally:
        if before is None:
            os.environ.pop("NEXTCLICK_CONFIG", None)
        else:
            os.environ["NEXTCLICK_CONFIG"] = before


def _refuse_unknown_keys_of(file: Path) -> None:
    for key in read_toml(file):
        if key not in Settings.model_fields:
            raise SettingsError(f"unknown setting {key!r} in {file}{_nearest(key)}")


def _refuse_unknown_variables() -> None:
    for variable in os.environ:
        if not variable.upper().startswith(ENV_PREFIX) or variable in OTHER_VARIABLES:
            continue
        key = variable[len(ENV_PREFIX) :].lower()
        if key not in Settings.model_fields:
            raise SettingsError(f"unknown setting {variable} in the environment{_nearest(key, ENV_PREFIX)}")


def _nearest(key: str, prefix: str = "") -> str:
    near = difflib.get_close_matches(key, list(Settings.model_fields), n=1, cutoff=0.4)
    if not near:
        return "; `nextclick worker --print-settings` shows the known ones"
    return f"; did you mean {prefix + near[0].upper() if prefix else near[0]}?"


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        came = "" if name in SECRETS or not name else f" (came: {problem['input']!r})"
        lines.append(
            f"{name}: {problem['msg']}{came}" if name else problem["msg"].removeprefix("Value error, ")
        )
    return "settings: " + "; ".join(lines)
