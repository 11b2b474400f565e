# SPDX-License-Identifier: Apache-2.0
"""What a ``redissentinel://`` connection string says."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from osprofiler.drivers import network
from osprofiler.drivers.locate import masked


class Sentinels:
    """What a ``redissentinel://`` string says. Raises ValueError, one line without password."""

    def __init__(self, connection_string: str) -> None:
        shown = masked(connection_string)
        options = network.options(
            connection_string, "ttl", "service_name", "ssl", "sentinel_username", "sentinel_password"
        )
        url = connection_string.partition("?")[0]
        network.seconds(options, "ttl")
        account, _, rest = url.partition("://")[2].rpartition("@")
        places, _, number = rest.partition("/")
        self.hosts = [_place(place, shown) for place in places.split(",")]
        user, colon, password = account.partition(":")
        if not number.isdecimal() and number:
            raise ValueError(f"the database is no number in {shown!r}")
        security = {"ssl": True} if network.switch(options, "ssl") else {}
        self.master: dict[str, Any] = {"db": int(number or 0), **security}
        if colon:
            self.master |= {"username": unquote(user) or None, "password": unquote(password)}
        self.sentinel: dict[str, Any] = dict(security)
        for option, name in ("sentinel_username", "username"), ("sentinel_password", "password"):
            if option in options:
                self.sentinel[name] = options[option]
        self.service_name = options.get("service_name")


def _place(text: str, shown: str) -> tuple[str, int]:
    try:
        return network.split(f"redissentinel://{text}", 26379)[1:]
    except ValueError:
        raise ValueError(f"{text!r} is no host[:port] in {shown!r}") from None
