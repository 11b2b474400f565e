# SPDX-License-Identifier: Apache-2.0
"""A service without tracing: what requests and calls cost by themselves."""

from __future__ import annotations

from typing import Any

import contenders


class Made(contenders.Contender):
    def wsgi(self, n: int) -> None:
        contenders.answer(contenders.hello, contenders.environ(n))

    def prepare_rpc(self) -> Any:
        from contenders import rpc

        made = rpc.Rpc()
        self.rpc = made.call
        return made
