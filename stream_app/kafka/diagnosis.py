"""Why a broker cannot be talked to: one more connection, looked at step by step.

aiokafka tells all of it in the same words, "unable to bootstrap"; what it knows is in its log. So where a
first contact failed, this asks each server itself and says what to check, in one sentence.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream_app.kafka.security import security_options, servers
from stream_app.settings import Settings

#: Seconds that one step with one server may take.
STEP_S: Final = 3.0

#: Seconds that connections get to close, those that failed before, too: whoever asked ends its loop now.
CLOSE_S: Final = 0.1

#: Kafka's own port, where a server has none.
KAFKA_PORT: Final = 9092


async def why_not(settings: Settings) -> str | None:
    """A sentence on what is wrong with the security settings or the brokers' certificates; None: not that.

    Raises:
        SettingsError: a file of certificates or keys cannot be used.
    """
    try:
        for server in servers(settings):
            if said := await _why_not(server, settings):
                return said
        return None
    finally:
        await asyncio.sleep(CLOSE_S)


async def _why_not(server: str, settings: Settings) -> str | None:
    host, port = _address(server)
    if not await _listens(host, port):
        return None
    where, tls = f"Kafka at {server}", settings.security_protocol.endswith("SSL")
    greeted = False
    try:
        async with asyncio.timeout(STEP_S):
            connection = await create_conn(host, port, client_id="nextclick", **security_options(settings))
            greeted = True
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
    except ssl.SSLCertVerificationError as error:
        return _of_certificate(where, host, error, settings)
    except UnsupportedSaslMechanismError as error:
        return f"{where} has no {settings.sasl_mechanism}: check sasl_mechanism ({_without_newlines(error)})"
    except SaslAuthenticationFailed:
        return (
            f"{where} refuses the login of {settings.sasl_username!r} by {settings.sasl_mechanism}: "
            "check sasl_username, sasl_password and sasl_mechanism"
        )
    except IllegalSaslStateError:
        return f"{where} wants no login: check security_protocol ({settings.security_protocol})"
    except (OSError, KafkaError):  # TimeoutError is an OSError
        if not tls and await _speaks_tls(host, port):
            return (
                f"{where} speaks TLS, and security_protocol is {settings.security_protocol}: "
                "set it to SSL or SASL_SSL, and ssl_ca_file"
            )
        if tls and not await _speaks_tls(host, port):
            return (
                f"{where} does not speak TLS, and security_protocol is {settings.security_protocol}: "
                "set it to PLAINTEXT or SASL_PLAINTEXT, or take the port that speaks TLS"
            )
        return _of_closing(where, settings, tls=tls, greeted=greeted)
    return None


def _of_closing(where: str, settings: Settings, *, tls: bool, greeted: bool) -> str | None:
    """What it means that a server hangs up."""
    sasl = settings.security_protocol.startswith("SASL")
    if greeted and not sasl:
        return (
            f"{where} hangs up on a client without a login, and security_protocol is "
            f"{settings.security_protocol}: set it to SASL_{'SSL' if tls else 'PLAINTEXT'}, "
            "and sasl_username, sasl_password and sasl_mechanism"
        )
    if not tls or greeted:
        return None
    if settings.ssl_cert_file:
        return (
            f"{where} hangs up on this client's certificate: check that ssl_cert_file "
            f"({settings.ssl_cert_file}) is signed by an authority that the broker trusts, and not expired"
        )
    return f"{where} hangs up on a client without a certificate: set ssl_cert_file and ssl_key_file"


def _of_certificate(where: str, host: str, error: ssl.SSLCertVerificationError, settings: Settings) -> str:
    said = error.verify_message
    if "expired" in said:
        return f"the certificate of {where} has expired: have it renewed, and check this machine's clock"
    if "not yet valid" in said:
        return f"the certificate of {where} is not valid yet: check this machine's clock"
    if "mismatch" in said:
        return (
            f"the certificate of {where} is not for {host}: set bootstrap_servers to a name that it has, or "
            f"have it made for that one ({said.rstrip('.')})"
        )
    trusted = settings.ssl_ca_file or "the system's authorities, as it is not set"
    return (
        f"the certificate of {where} is not signed by an authority in ssl_ca_file ({trusted}): "
        f"set it to the authority that signed it ({said})"
    )


def _without_newlines(error: Exception) -> str:
    return " ".join(str(error).split())


def _address(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdigit():
        return server.strip("[]"), KAFKA_PORT
    return host.strip("[]"), int(port)


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(STEP_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether a server answers to TLS, whatever its certificate is; nothing is sent to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(STEP_S):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError:
        return False
    writer.transport.abort()
    return True
