# SPDX-License-Identifier: Apache-2.0
"""Access to a server over HTTP: the trusted certificates, the client's certificate, and the bearer token."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from osprofiler.connection import strings
from osprofiler.connection.secrets import malformed

if TYPE_CHECKING:
    import requests

_TLS = ("ca_certs", "verify", "certfile", "keyfile")
_TOKENS = ("token", "query_token")
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+")


@dataclasses.dataclass(frozen=True)
class Access:
    """The credentials for a server, as requests expects them."""

    verify: bool | str = True  # or the file of the certificates that may have signed the server's
    certificate: str | tuple[str, str] | None = None  # of the client: a file, or the files of certificate and key
    token: str | None = dataclasses.field(default=None, repr=False)

    @classmethod
    def of(
        cls, connection_string: str, options: Mapping[str, str], *, over_tls: bool = True, verify: bool = True
    ) -> Access:
        """Make the access from the *options* of the string; *verify* is the default of the option of that name.

        Raises ValueError, one line without secrets, for options that contradict each other or have no effect.
        """
        tls_options = [name for name in _TLS if name in options]
        if tls_options and not over_tls:
            raise malformed(connection_string, f"{tls_options[0]} has no effect: this scheme does not use TLS")
        checks = strings.switch(options, "verify", verify)
        if "ca_certs" in options and not checks and "verify" in options:
            raise malformed(connection_string, "ca_certs has no effect with verify=no")
        if "keyfile" in options and "certfile" not in options:
            raise malformed(connection_string, "keyfile needs certfile")
        for name in _TOKENS:
            if name in options and not _HEADER_TEXT.fullmatch(options[name]):
                raise malformed(connection_string, f"{name} must be ASCII without blanks")
        if "token" in options and "@" in connection_string.partition("?")[0]:
            raise malformed(connection_string, "it has both a user and a token: choose one")
        certfile, keyfile = options.get("certfile"), options.get("keyfile")
        certificate = (certfile, keyfile) if certfile and keyfile else certfile
        return cls(options.get("ca_certs") or checks, certificate, options.get("token"))

    @property
    def auth(self) -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
        """A function that adds the token to a request; None without a token, then requests may read ~/.netrc."""
        return None if self.token is None else self._add_token

    def _add_token(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request
