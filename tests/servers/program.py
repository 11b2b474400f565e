# SPDX-License-Identifier: Apache-2.0
"""Any program as a server: a service that runs until it is stopped."""

from collections.abc import Callable, Sequence

from tests.servers.base import Server


class Program(Server):
    """A program, which is ready as soon as *answers* says so."""

    name = "program"

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        environment: dict[str, str],
        answers: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        super().__init__()
        self._words = [str(word) for word in command]
        self._variables = environment
        self._check = answers

    @classmethod
    def check(cls) -> None:
        """Does nothing: the program is there."""

    def _command(self) -> list[str]:
        return self._words

    def _environment(self) -> dict[str, str]:
        return self._variables

    def _answers(self) -> bool:
        return self._check()
