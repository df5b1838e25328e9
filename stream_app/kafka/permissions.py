"""What Kafka permits this user to do with topics and a group, asked beforehand.

Kafka adds it to descriptions where asked to, in two versions of requests that aiokafka does not have:
Metadata 8 and DescribeGroups 3. Without it a worker would find out at its first write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from stream_app.kafka.client import CONTACT_S, broker_errors, first_contact
from stream_app.kafka.security import client_options
from stream_app.settings import Settings

#: Kafka's numbers of operations.
OPERATIONS: Final = {
    3: "Read",
    4: "Write",
    5: "Create",
    6: "Delete",
    7: "Alter",
    8: "Describe",
    10: "DescribeConfigs",
    11: "AlterConfigs",
}

#: Kafka's number for "not told".
_NOT_TOLD: Final = -(2**31)

_REFUSED: Final = {29, 30}  # TOPIC_AUTHORIZATION_FAILED, GROUP_AUTHORIZATION_FAILED

#: Stands for permissions that Kafka does not tell, as for a topic that does not exist.
Unknown: Final = frozenset({"unknown"})

_text = String("utf-8")


class _MetadataResponse8(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _text), ("port", Int32), ("rack", _text))),
        ("cluster_id", _text),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _text),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequest8(RequestStruct):  # type: ignore[misc]  # the same
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse8
    SCHEMA = Schema(
        ("topics", Array(_text)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Topics(Request[_MetadataRequest8]):  # type: ignore[misc]  # the same
    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, struct: Any) -> Any:
        """The request."""
        return struct(self._names, False, False, True)


class _DescribeGroups3(RequestStruct):  # type: ignore[misc]  # the same
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3  # aiokafka's own request has that of version 2
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class _Groups(Request[_DescribeGroups3]):  # type: ignore[misc]  # the same
    API_KEY = 15

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, struct: Any) -> Any:
        """The request."""
        return struct(self._names, True)


async def permitted(
    settings: Settings, topics: list[str], group: str
) -> Mapping[tuple[str, str], frozenset[str]]:
    """Ask what this user may do.

    Returns:
        By ``("topic", name)`` and ``("group", name)`` the operations; :data:`Unknown` where not told.

    Raises:
        BrokerError: no broker answers.
    """
    admin = AIOKafkaAdminClient(client_id="nextclick", request_timeout_ms=8000, **client_options(settings))
    found: dict[tuple[str, str], frozenset[str]] = {}
    try:
        async with first_contact(settings):
            await admin.start()
        with broker_errors(settings):
            async with asyncio.timeout(CONTACT_S):
                answer = await admin._send_request(_Topics(topics))  # noqa: SLF001 -- it has no public way
                for code, name, _, _, operations in answer.topics:
                    found["topic", name] = _operations(code, operations)
                answer = await admin._send_request(_Groups([group]))  # noqa: SLF001 -- the same
                for code, name, *_, operations in answer.groups:
                    found["group", name] = _operations(code, operations)
    except (IncompatibleBrokerVersion, NotImplementedError):
        return found  # an older broker, or another make
    finally:
        await admin.close()
    return found


def _operations(code: int, bits: int) -> frozenset[str]:
    if code in _REFUSED:
        return frozenset()
    if bits == _NOT_TOLD:
        return Unknown
    return frozenset(name for number, name in OPERATIONS.items() if bits >> number & 1)
