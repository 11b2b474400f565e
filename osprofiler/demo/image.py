# SPDX-License-Identifier: Apache-2.0
"""The image service: describes an image, and streams its data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from oslo_config import cfg

from osprofiler import profiler
from osprofiler.demo import rest

#: The only image.
IMAGE = "debian-12"

_PIECES = 4
_PIECE = bytes(16 * 1024)
_READ_S = 0.004


class ImageDamaged(Exception):
    """The image's data have changed since it was stored."""


class ImageService:
    """``GET /images/ID`` and ``GET /images/ID/file``."""

    def __init__(self, name: str) -> None:
        self._http = rest.Server(rest.application(self.handle), cfg.CONF.demo.http_workers)
        self.url: str | None = self._http.url

    def start(self) -> None:
        self._http.start()

    def stop(self) -> None:
        self._http.stop()

    def handle(self, method: str, path: str, body: Any) -> tuple[HTTPStatus, Any]:
        if method == "GET" and path == f"/images/{IMAGE}":
            return HTTPStatus.OK, {"id": IMAGE, "size": _PIECES * len(_PIECE), "min_ram": 512}
        if method == "GET" and path == f"/images/{IMAGE}/file":
            verify_checksum(IMAGE)
            return HTTPStatus.OK, _pieces()
        return HTTPStatus.NOT_FOUND, {"error": "no such image"}


@profiler.trace("image.verify")
def verify_checksum(image_id: str) -> None:
    """Compare the image's data with the checksum from the time it was stored. Raises ImageDamaged."""
    time.sleep(_READ_S)
    if cfg.CONF.demo.fault == "image":
        raise ImageDamaged(f"{image_id}: the checksum differs")


def _pieces() -> Iterator[bytes]:
    for number in range(_PIECES):
        with profiler.Trace("image.read", info={"piece": number}):
            time.sleep(_READ_S)
        yield _PIECE
