# SPDX-License-Identifier: Apache-2.0
"""Compares traces of released services with the trees that the documentation shows of them."""

import re
import textwrap
import uuid
from typing import TypeVar

from tests import pages
from tests.e2e import traces
from tests.servers import Jaeger
from tests.waiting import wait_until

PAGE = pages.REPOSITORY / "doc" / "source" / "services.rst"

_TREE = re.compile(r"^\.\. code-block:: text\n   :name: ([\w-]+)\n\n((?:(?:   .*)?\n)+)", re.M)

T = TypeVar("T")


def trees() -> dict[str, str]:
    """The trees on the page, by their names."""
    return {name: textwrap.dedent(text).strip("\n") for name, text in _TREE.findall(PAGE.read_text() + "\n")}


class Comparison:
    """Traces that are made and then compared; *services* are the page's names of services, with Jaeger's."""

    def __init__(self, jaeger: Jaeger, **services: str) -> None:
        self._jaeger = jaeger
        self._services = services
        self._bases: dict[str, str] = {}

    def new(self, name: str) -> str:
        """The id of a trace that the page shows as *name*."""
        self.add(name, str(uuid.uuid4()))
        return self._bases[name]

    def add(self, name: str, base_id: str) -> None:
        """Say that the page shows the trace *base_id* as *name*."""
        self._bases[name] = base_id

    def settle(self) -> None:
        """Fail with all trees that are not as on the page. Spans may still be on their way."""
        shown = trees()
        wrong = [self._difference(name, shown.get(name, "")) for name in self._bases]
        assert not any(wrong), "\n\n".join(filter(None, wrong))

    def _difference(self, name: str, shown: str) -> str:
        wanted = set(traces.expected(shown, **self._services)) if shown else set()
        paths: list[traces.Path] = []

        def same() -> bool:
            trace = self._jaeger.trace(self._bases[name].replace("-", ""))
            assert trace is not None, "it is not there"
            paths[:] = traces.in_jaeger(trace, "", may_fail=True)
            return set(paths) == wanted

        try:
            wait_until(same, 30)
        except TimeoutError as late:
            names = {service: short for short, service in self._services.items()}
            renamed = [tuple(seen._replace(service=names.get(seen.service, seen.service)) for seen in path)
                       for path in paths]  # fmt: skip
            missing = traces.outline(sorted(wanted - set(paths)))
            return f"{name}: {late}\nmissing:\n{missing}\nfound:\n{traces.outline(renamed)}"
        return ""
