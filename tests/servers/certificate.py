# SPDX-License-Identifier: Apache-2.0
"""Certificates for servers that speak TLS."""

from pathlib import Path

from tests.servers.base import Server, StartFailed, program


def command(certificate: Path, key: Path) -> list[str]:
    """What makes a certificate for 127.0.0.1, signed by itself. Raises Missing without openssl."""
    openssl = program("openssl", install="openssl")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    whose = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    return [openssl, "req", "-x509", *kind, *whose, "-keyout", str(key), "-out", str(certificate)]


def make_certificate(server: Server, certificate: Path, key: Path) -> None:
    """Make a certificate for 127.0.0.1, signed by itself, with the server's account as its owner."""
    server._run(command(certificate, key))
    if not certificate.exists():
        raise StartFailed(f"openssl made no {certificate}")
