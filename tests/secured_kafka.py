"""A Kafka that wants TLS, certificates, logins and permissions: a listener for each way to get it wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from stream_app.kafka.broker_process import HOST, Broker, free_ports
from stream_app.kafka.brokers import local_kafka
from stream_app.settings import Settings
from tests.certificates import Authority

#: Users and their passwords. The first may do anything, the others what they are permitted.
USERS = {"shop": "wonder-word", "worker": "worker-word", "reader": "reader-word"}

#: Listener → its protocol and the certificate that it shows.
LISTENERS = {
    "PLAINTEXT": ("PLAINTEXT", None),
    "LOGIN": ("SASL_PLAINTEXT", None),
    "SECURE": ("SASL_SSL", "server"),
    "TLS": ("SSL", "server"),
    "MUTUAL": ("SSL", "server"),
    "EXPIRED": ("SASL_SSL", "expired"),
    "ELSEWHERE": ("SASL_SSL", "elsewhere"),
}


class Secured(NamedTuple):
    """A running one.

    Attributes:
        addresses: of its listeners.
        authority: whose certificates it trusts and shows.
        foreign: another authority.
        folder: where certificates are.
        broker: its process.
    """

    addresses: Mapping[str, str]
    authority: Authority
    foreign: Authority
    folder: Path
    broker: Broker

    def change_password(self, user: str, old: str, new: str) -> None:
        """Change a password of PLAIN; the broker is stopped and started again."""
        self.broker.stop()
        properties = self.folder / "kafka" / "server.properties"
        text = properties.read_text()
        properties.write_text(text.replace(f'user_{user}="{old}"', f'user_{user}="{new}"'))
        self.broker.start()

    def login(self, user: str = "shop", listener: str = "SECURE", **others: Any) -> dict[str, Any]:
        """The settings of a user that logs in with the right password."""
        return {
            "bootstrap_servers": self.addresses[listener],
            "security_protocol": LISTENERS[listener][0],
            "sasl_username": user,
            "sasl_password": SecretStr(USERS[user]),
            "ssl_ca_file": self.authority.file,
            **others,
        }


def with_(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Settings with others in place of some, checked as if they had been read."""
    return Settings.model_validate({**settings.with_secrets(), **changes})


@contextmanager
def secured_kafka(folder: Path) -> Iterator[Secured]:
    """Start it; its plain listener is its administrator's."""
    folder.mkdir(parents=True)
    authority, foreign = Authority(folder, "authority"), Authority(folder, "foreign")
    certificates = {
        "server": authority.signed("server", "localhost", HOST),
        "expired": authority.signed("expired", "localhost", HOST, days=-1),
        "elsewhere": authority.signed("elsewhere", "kafka.example.org"),
    }
    ports = dict(zip([*LISTENERS, "CONTROLLER"], free_ports(len(LISTENERS) + 1), strict=True))
    extra = {
        "controller.quorum.voters": f"1@{HOST}:{ports['CONTROLLER']}",
        "listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items()),
        "advertised.listeners": ",".join(f"{name}://{HOST}:{ports[name]}" for name in LISTENERS),
        "listener.security.protocol.map": ",".join(
            ["CONTROLLER:PLAINTEXT", *(f"{name}:{protocol}" for name, (protocol, _) in LISTENERS.items())]
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:shop;User:CN=client",
        "connection.failed.authentication.delay.ms": "0",
    }
    for name, (protocol, certificate) in LISTENERS.items():
        extra |= _listener(name.lower(), protocol, certificates.get(certificate or ""), authority)
    extra["listener.name.mutual.ssl.client.auth"] = "required"
    scram = [
        part
        for user, password in USERS.items()
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for part in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
    ]
    with local_kafka(
        folder / "kafka", port=ports["PLAINTEXT"], extra=extra, heap_mb=256, format_with=scram
    ) as broker:
        addresses = {name: f"{HOST}:{ports[name]}" for name in LISTENERS}
        yield Secured(addresses, authority, foreign, folder, broker)


def _listener(name: str, protocol: str, certificate: Path | None, authority: Authority) -> dict[str, str]:
    properties = {}
    if protocol.startswith("SASL"):
        security = "org.apache.kafka.common.security"
        users = " ".join(f'user_{user}="{password}"' for user, password in USERS.items())
        scram = f"{security}.scram.ScramLoginModule required;"
        properties |= {
            "plain.sasl.jaas.config": f"{security}.plain.PlainLoginModule required {users};",
            "scram-sha-256.sasl.jaas.config": scram,
            "scram-sha-512.sasl.jaas.config": scram,
        }
    if certificate:
        properties |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificate),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.file),
        }
    return {f"listener.name.{name}.{key}": value for key, value in properties.items()}
