"""What workers of a group must have in common, as one short text; and which settings were changed at all."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from stream_app.settings import Settings

#: What a worker of a group may have otherwise than another: places, connections, logs. Answers are the same.
OWN: Final = frozenset(
    {
        *("bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_username", "sasl_password"),
        *("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password", "http_token"),
        *("data_dir", "cache_dir", "prepared_dir", "kernels_cpu", "group_instance_id"),
        *("metrics_host", "metrics_port", "log_level", "log_format"),
    }
)


def fingerprint(settings: Settings) -> str:
    """The same for all workers of a group that answer alike: of all settings but :data:`OWN`."""
    shared = {key: value for key, value in settings.public().items() if key not in OWN}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:16]


def changed(settings: Settings) -> dict[str, Any]:
    """The settings that are not at their default, as plain values, secrets masked."""
    default = Settings.model_construct().public()
    return {key: value for key, value in settings.public().items() if value != default[key]}
