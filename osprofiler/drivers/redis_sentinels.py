# SPDX-License-Identifier: Apache-2.0
"""The parts of a ``redissentinel://`` connection string, and a client of the master."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from osprofiler.connection import options, strings
from osprofiler.connection.secrets import is_certain, malformed
from osprofiler.drivers import redis_client


class Sentinels:
    """The parts of a ``redissentinel://`` string. Raises ValueError, one line without the password, if it is wrong."""

    def __init__(self, connection_string: str) -> None:
        if "#" in connection_string or not is_certain(connection_string):
            raise malformed(connection_string, "user and password, or a port, have no clear end")
        values = strings.options(connection_string, *options.names("redissentinel"))
        url = connection_string.partition("?")[0]
        strings.seconds(values, "ttl")
        account, _, rest = url.partition("://")[2].rpartition("@")
        places, _, number = rest.partition("/")
        self.hosts = [_place(place, connection_string) for place in places.split(",")]
        user, colon, password = account.partition(":")
        if not number.isdecimal() and number:
            raise malformed(connection_string, "the database is not a number")
        security = {"ssl": True} if strings.switch(values, "ssl") else {}
        self.master: dict[str, Any] = {"db": int(number or 0), **security}
        if colon:
            self.master |= {"username": unquote(user) or None, "password": unquote(password)}
        self.sentinel: dict[str, Any] = dict(security)
        for option, name in ("sentinel_username", "username"), ("sentinel_password", "password"):
            if option in values:
                self.sentinel[name] = values[option]
        self.service_name = values.get("service_name")

    def master_client(self, service_name: str, sentinel_timeout_s: float) -> Any:
        """A client of the master. Its name is that of the string, or else *service_name*.

        A Sentinel that does not answer within *sentinel_timeout_s* seconds is skipped.
        """
        import redis.sentinel

        library: Any = redis.sentinel
        timeouts = {"socket_timeout": sentinel_timeout_s, "socket_connect_timeout": sentinel_timeout_s}
        sentinel = library.Sentinel(
            self.hosts, sentinel_kwargs={**timeouts, **self.sentinel}, **redis_client.TIMEOUTS, **self.master
        )
        return sentinel.master_for(self.service_name or service_name)


def _place(text: str, connection_string: str) -> tuple[str, int]:
    try:
        return strings.split(f"redissentinel://{text}", 26379)[1:]
    except ValueError:
        raise malformed(connection_string, f"{text!r} is not host[:port]") from None
