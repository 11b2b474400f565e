# SPDX-License-Identifier: Apache-2.0
"""The first hour of a new user: README and the quickstart, command by command, on a Debian 12 with nothing installed.

The commands, the programs and the files are those of the pages. Nothing is installed but what the pages install.
"""

import contextlib
import faulthandler
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests import pages
from tests.e2e.bare_debian import BareDebian, NotPossible, bare_debian, clone

T = TypeVar("T")

pytestmark = pytest.mark.slow

#: Commands that are not run, and why.
_LEFT_OUT = {"make cloud": "it installs an OpenStack; test_cloud.py runs it"}
#: Commands that run with a part of what they do, and which part: all servers, each once.
_SHORTENED = {
    "make test": {"TOX_ARGS": "-- tests/integration/test_servers.py", "OSPROFILER_REQUIRE_SERVERS": "1"},
}
#: Commands that run until Ctrl-C, and what they print when they are ready.
_UNTIL_CTRL_C = {"make servers": "running; Ctrl-C stops", "osprofiler serve": "osprofiler: serving"}
#: What must be in the output of a command.
_PRINTS = {"make demo": "The server is ACTIVE.", "osprofiler --version": "5."}

_TRACE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[BareDebian]:
    """A Debian with nothing installed."""
    faulthandler.cancel_dump_traceback_later()  # all of it takes longer than a test may; each command has its deadline
    try:
        with bare_debian(tmp_path / "debian") as made:
            yield made
    except NotPossible as why:
        pytest.skip(str(why))


class User:
    """Somebody who follows a page on a new *machine*."""

    def __init__(self, machine: BareDebian) -> None:
        self._machine = machine
        self._clone: Path | None = None
        self._shell = ""  # what the user's shell keeps from command to command
        self._placeholders: dict[str, str] = {}
        self._program = ""  # the file that the next piece of Python goes to
        self._not_run: list[str] = []

    def follow(self, page: Path) -> None:
        """Do what *page* shows, from top to bottom."""
        for block in pages.blocks(page):
            if block.language == "console":
                self._run_all(block.text.splitlines())
            elif block.language == "python":
                self._program = block.file or self._program
                self._add(self._program, block.text)
            elif block.file:
                self._add(block.file, block.text)
        for program in list(self._not_run):
            self._run(f"python {program}")

    def _add(self, name: str, text: str) -> None:
        assert name, f"the page names no file for:\n{text}"
        assert self._clone, f"the page shows {name} before anything is installed"
        if name.endswith(".py") and name not in self._not_run:
            self._not_run.append(name)
        with (self._clone / name).open("a") as file:
            file.write(f"{text}\n\n")

    def _run_all(self, lines: list[str]) -> None:
        with contextlib.ExitStack() as terminals:
            for line in lines:
                prompt, _, command = line.partition(" ")
                assert prompt in {"$", "#"}, f"no command: {line}"
                if prompt == "$" and not self._clone:
                    self._make_clone()
                if _of(_LEFT_OUT, command):
                    continue
                if ready := _of(_UNTIL_CTRL_C, command):
                    printed = terminals.enter_context(self._machine.running(self._shell + command, ready))
                    self._learn_addresses(printed)
                else:
                    self._run(command)

    def _make_clone(self) -> None:
        self._machine.run("git --version")  # the page must have had it installed
        self._clone = clone(self._machine)
        self._shell = f"cd /root/{self._clone.name}\n"

    def _run(self, command: str) -> None:
        for placeholder, value in self._placeholders.items():
            command = command.replace(placeholder, value)
        printed = self._machine.run(self._shell + command, **(_of(_SHORTENED, command) or {}))
        for bad in "Traceback", "tracing fault", "osprofiler is off":
            assert bad not in printed, f"{command}:\n{printed}"
        assert (_of(_PRINTS, command) or "") in printed, f"{command}:\n{printed}"
        if command.startswith(". "):
            self._shell += f"{command}\n"
        if command.startswith("osprofiler trace list"):
            self._placeholders["TRACE_ID"] = _TRACE_ID.findall(printed)[0]
        if command.startswith("python "):
            self._not_run = [name for name in self._not_run if name not in command.split()]

    def _learn_addresses(self, printed: str) -> None:
        for name, address in re.findall(r"^(\w+) +url +(\S+)$", printed, re.M):
            self._placeholders[f"{name.upper()}_URL"] = address


def _of(table: dict[str, T], command: str) -> T | None:
    """The entry of *table* whose key *command* begins with."""
    return next((value for key, value in table.items() if command.startswith(key)), None)


@pytest.mark.parametrize("page", [pages.README, pages.QUICKSTART], ids=lambda page: page.name)
def test_a_new_user_gets_through(machine: BareDebian, page: Path) -> None:
    User(machine).follow(page)
