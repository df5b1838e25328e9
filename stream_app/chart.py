"""The part of the Helm chart that is made from the code: which settings its values may have.

``make docs`` writes it (:mod:`stream_app.docs`). So a wrong setting is refused before anything is installed.
"""

from __future__ import annotations

import json
from typing import Any, Final

from stream_app.settings import Settings

#: From the root of the repository.
SCHEMA: Final = "deploy/helm/nextclick/values.schema.json"

#: What the chart makes itself: from other values, from secrets, or because the image fixes it.
OWN_OF_THE_CHART: Final = frozenset(
    {
        *("bootstrap_servers", "group_instance_id", "security_protocol"),
        *("sasl_mechanism", "sasl_username", "sasl_password"),
        *("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password"),
        *("data_dir", "cache_dir", "prepared_dir", "metrics_host", "metrics_port", "http_token"),
    }
)


def settings_schema() -> dict[str, dict[str, Any]]:
    """The JSON schema of each setting that the chart's values may have, with its meaning."""
    properties: dict[str, dict[str, Any]] = Settings.model_json_schema()["properties"]
    return {
        key: {word: said for word, said in schema.items() if word not in {"title", "default", "format"}}
        for key, schema in properties.items()
        if key not in OWN_OF_THE_CHART
    }


def with_settings(text: str) -> str:
    """The schema of the chart's values with the settings as they are now."""
    schema = json.loads(text)
    schema["properties"]["settings"]["properties"] = settings_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
