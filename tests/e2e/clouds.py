# SPDX-License-Identifier: Apache-2.0
"""The demo's cloud as a test bed: started for a test, with requests of the test's own; and what one boot makes."""

import functools
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from osprofiler._utils import signed_pack
from osprofiler.demo import database
from osprofiler.demo.cloud import Cloud
from tests.e2e import traces
from tests.waiting import wait_until

#: Everything that one boot makes, as ``traces.expected`` reads it.
BOOT = """
client boot
  client http POST
    api wsgi POST
      api http GET
        image wsgi GET
      api db INSERT
      api db COMMIT
      api rpc build
        conductor rpc build ~
          conductor osprofiler.demo.scheduler.select_host
            conductor scheduler.ask
              conductor rpc free_mb
                compute-1 rpc free_mb
            conductor scheduler.ask
              conductor rpc free_mb
                compute-2 rpc free_mb
            conductor join +2
          conductor db INSERT
          conductor db COMMIT
          conductor rpc build
            compute-2 rpc build ~
              compute-2 http GET
                image wsgi GET
                  image osprofiler.demo.image.verify_checksum
                  image image.read
                  image image.read
                  image image.read
                  image image.read
              compute-2 osprofiler.demo.compute.spawn
                compute-2 compute.define
                compute-2 compute.power_on
              compute-2 rpc update
                conductor rpc update
                  conductor db UPDATE
                  conductor db COMMIT
"""

#: With RPC in memory these are one process, whose service is the API.
IN_MEMORY = {"conductor": "api", "compute-1": "api", "compute-2": "api"}


def order(text: str = BOOT) -> str:
    """The part of a boot that begins at the API: what there is of it where the caller is not traced."""
    lines = text.strip("\n").splitlines()[2:]
    return "\n".join(line[4:] for line in lines)


@contextmanager
def running(store: str, **options: Any) -> Iterator[Cloud]:
    """A cloud with fresh tables, and with the tables gone at the end; *options* are those of ``Cloud``."""
    prepare = functools.partial(database.create, broken=options.get("fault") == "db")
    with Cloud(store, prepare=prepare, **options) as cloud:
        yield cloud
    if options.get("db_url"):
        database.remove(cloud.db_url)


class Caller:
    """Sends requests to the API of a cloud from this process, which is not traced."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._session = requests.Session()
        self._session.trust_env = False

    def signed(self, base_id: str) -> dict[str, str]:
        """The headers of an osprofiler of any age for a new trace *base_id*."""
        packed, mac = signed_pack({"base_id": base_id, "parent_id": base_id}, self._cloud.key)
        return {"X-Trace-Info": as_text(packed), "X-Trace-HMAC": as_text(mac)}

    def boot(self, headers: dict[str, str] | None = None, spawn_ms: int = 4) -> str:
        """Order a server; its id."""
        body = {"name": "test-server", "image": "debian-12", "spawn_ms": spawn_ms}
        answer = self._session.post(f"{self._cloud.urls['api']}/servers", json=body, headers=headers, timeout=120)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def status(self, server_id: str, headers: dict[str, str] | None = None) -> str:
        """What has become of a server."""
        answer = self._session.get(f"{self._cloud.urls['api']}/servers/{server_id}", headers=headers, timeout=120)
        answer.raise_for_status()
        return str(answer.json()["status"])

    def wait_built(self, *servers: str) -> None:
        """Wait until *servers* are there: a cloud that ends earlier leaves their builds without those they call."""
        for server in servers:
            wait_until(lambda server=server: self.status(server) == "ACTIVE", 180, "a server to be built")


def as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def new_id() -> str:
    return str(uuid.uuid4())


def prefix() -> str:
    """A prefix of service names in Jaeger that no other test has."""
    return f"t{uuid.uuid4().hex[:8]}"


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what the demo would take from it."""
    return {**{key: value for key, value in os.environ.items() if key != "OSPROFILER_CONNECTION_STRING"}, **more}


EXPECTED = traces.expected(BOOT)
EXPECTED_IN_MEMORY = traces.expected(BOOT, **IN_MEMORY)
EXPECTED_ORDER = traces.expected(order())
EXPECTED_ORDER_IN_MEMORY = traces.expected(order(), **IN_MEMORY)
