"""How a client speaks to the brokers: TLS, certificates and logins, from the settings."""

from __future__ import annotations

import ssl
from typing import Any

from core.errors import SettingsError
from stream_app.settings import Settings


def servers(settings: Settings) -> list[str]:
    """The bootstrap servers as a list of ``host:port``."""
    return settings.bootstrap_servers.split(",")


def client_options(settings: Settings) -> dict[str, Any]:
    """The options that every aiokafka client shares: where, and how to speak.

    Raises:
        SettingsError: a file of certificates or keys cannot be used.
    """
    return {"bootstrap_servers": servers(settings), **security_options(settings)}


def security_options(settings: Settings) -> dict[str, Any]:
    """Those of :func:`client_options` that a single connection has, too.

    Raises:
        SettingsError: a file of certificates or keys cannot be used.
    """
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    if context := ssl_context(settings):
        options["ssl_context"] = context
    return options


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """What is trusted, and who this client is; None where nothing is encrypted.

    Raises:
        SettingsError: a file of certificates or keys cannot be used.
    """
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    except OSError as error:  # ssl.SSLError is one
        message = f"ssl_ca_file: {settings.ssl_ca_file} is not a readable PEM file: {error}"
        raise SettingsError(message) from None
    if settings.ssl_cert_file:
        try:
            # A function: without a password OpenSSL would ask for it on the terminal.
            context.load_cert_chain(
                settings.ssl_cert_file,
                settings.ssl_key_file,
                lambda: settings.ssl_key_password.get_secret_value(),  # noqa: PLW0108 -- not kept as an argument
            )
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"ssl_cert_file, ssl_key_file: {settings.ssl_cert_file} and "
                f"{settings.ssl_key_file or 'the same file'} are not a PEM certificate and its key, or "
                f"ssl_key_password is not the key's: {error}"
            ) from None
    return context
