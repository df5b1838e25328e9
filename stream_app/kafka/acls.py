"""The Kafka permissions (ACLs) that each role needs: the least with which it works, from the settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Final, NamedTuple

from core.errors import AccessError, SettingsError
from stream_app.kafka.permissions import Unknown, permitted
from stream_app.kafka.topics import changelog_topic, transactional_id, wanted_topics
from stream_app.settings import Settings


class Permission(NamedTuple):
    """What may be done with a topic, a group or transactional ids.

    Attributes:
        kind: ``topic``, ``group`` or ``transactional-id``.
        name: of it; how the ids begin.
        operations: by Kafka's names; Read and Write each allow Describe.
    """

    kind: str
    name: str
    operations: tuple[str, ...]


#: Role → what has it.
ROLES: Final = {
    "worker": "nextclick worker",
    "admin": "nextclick topics create and check",
    "producer": "whoever sends clicks",
    "reader": "whoever reads answers; a consumer group of its own comes on top",
    "replay": "nextclick replay, with --resume too",
    "begin": "nextclick begin",
    "explain": "nextclick explain",
    "forget": "nextclick forget",
    "dead-letters": "nextclick dead-letters",
    "lag": "nextclick topics list and lag",
    "trim": "nextclick topics trim",
}

_CONFIGS = "DescribeConfigs"


def permissions(settings: Settings, role: str) -> list[Permission]:
    """What a role needs.

    Args:
        settings: names of topics and of the group.
        role: one of :data:`ROLES`.

    Raises:
        SettingsError: no such role.
    """
    clicks, answers = settings.clicks_topic, settings.recommendations_topic
    sessions, dead, changelog = (
        settings.sessions_topic,
        settings.dead_letters_topic,
        changelog_topic(settings),
    )
    moves = ("Write",) if settings.unkeyed == "repartition" else ()
    group = [("group", settings.group_id, ("Read",))]
    exactly_once = settings.guarantee == "exactly_once"
    transactions = [("transactional-id", transactional_id(settings), ("Write",))] if exactly_once else []
    needed: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
        "worker": [
            ("topic", clicks, ("Read", *moves, _CONFIGS)),
            ("topic", answers, ("Write", _CONFIGS)),
            ("topic", sessions, ("Read", "Write", _CONFIGS)),
            ("topic", dead, ("Write", _CONFIGS)),
            ("topic", changelog, ("Read", "Write", _CONFIGS)),
            *group,
            *transactions,
        ],
        "admin": [("topic", name, ("Create", "Describe", _CONFIGS)) for name in wanted_topics(settings)],
        "lag": [
            *(("topic", name, ("Describe", _CONFIGS)) for name in wanted_topics(settings)),
            ("group", settings.group_id, ("Describe",)),
        ],
        "trim": [("topic", sessions, ("Delete",))],
        "producer": [("topic", clicks, ("Write",))],
        "reader": [("topic", answers, ("Read",))],
        "replay": [("topic", clicks, ("Read", "Write"))],
        "begin": [("topic", clicks, ("Read",)), ("topic", changelog, ("Describe",)), *group],
        "explain": [("topic", name, ("Read",)) for name in (clicks, answers, sessions)],
        "forget": [
            ("topic", clicks, ("Write", _CONFIGS)),
            ("topic", answers, ("Describe", _CONFIGS)),
            ("topic", sessions, ("Read", "Write", _CONFIGS)),
            ("topic", dead, ("Describe", _CONFIGS)),
            *group,
        ],
        "dead-letters": [
            ("topic", dead, ("Read",)),
            ("topic", sessions, ("Read",)),
            ("topic", clicks, ("Write",)),
        ],
    }
    if role not in needed:
        raise SettingsError(f"role {role!r}: expected one of {', '.join(ROLES)}")
    return [Permission(*one) for one in needed[role]]


def commands(needed: Iterable[Permission], principal: str, bootstrap_servers: str) -> list[str]:
    """The commands of Apache Kafka that grant permissions; an administrator adds their own --command-config.

    Args:
        needed: what to grant.
        principal: to whom, such as ``User:worker``.
        bootstrap_servers: of the brokers.
    """
    return [
        shlex.join(
            [
                *("kafka-acls.sh", "--bootstrap-server", bootstrap_servers, "--add"),
                *("--allow-principal", principal),
                *(part for operation in one.operations for part in ("--operation", operation)),
                *(("--resource-pattern-type", "prefixed") if one.kind == "transactional-id" else ()),
                *(f"--{one.kind}", one.name),
            ]
        )
        for one in needed
    ]


async def lacking(settings: Settings, role: str) -> list[Permission]:
    """What this user lacks of what a role needs; nothing where Kafka does not tell.

    Raises:
        BrokerError: no broker answers.
    """
    needed = permissions(settings, role)
    topics = [one.name for one in needed if one.kind == "topic"]
    found = await permitted(settings, topics, settings.group_id)
    left = []
    for one in needed:
        has = found.get((one.kind, one.name), Unknown)
        if has is not Unknown and (missing := tuple(op for op in one.operations if op not in has)):
            left.append(one._replace(operations=missing))
    return left


async def refuse_lacking(settings: Settings, role: str) -> None:
    """See that this user has what a role needs, where there are users at all.

    Raises:
        AccessError: it lacks something; all of that is named.
        BrokerError: no broker answers.
    """
    if settings.security_protocol == "PLAINTEXT":
        return
    if left := await lacking(settings, role):
        user = (
            repr(settings.sasl_username) if settings.security_protocol.startswith("SASL") else "this client"
        )
        what = ", ".join(f"{' and '.join(one.operations)} on {one.kind} {one.name}" for one in left)
        raise AccessError(
            f"Kafka at {settings.bootstrap_servers} does not permit {user}: {what}; "
            f"`nextclick topics acls --role {role} --principal User:…` prints what grants it"
        )
