# SPDX-License-Identifier: Apache-2.0
"""Sets that several processes read: what is left if the store fails, a process dies, or the user interrupts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from osprofiler.cmd import set_processes, sets
from osprofiler.cmd.set_work import Work
from osprofiler.drivers.errors import StoreError
from osprofiler.records import unreadable
from osprofiler.reports import model
from tests.unit import boots


class Ids(Work[list[str]]):
    """The ids of traces."""

    def part(self, traces: Iterable[model.Trace]) -> list[str]:
        return [trace.base_id for trace in traces]


class Pids(Work[list[int]]):
    """For each trace the process that read it."""

    def part(self, traces: Iterable[model.Trace]) -> list[int]:
        return [os.getpid() for _ in traces]


class Reader:
    """A batch is a list of seeds; or of what happens at that place."""

    def traces(self, batch: list[int | str]) -> Iterator[model.Trace]:
        for each in batch:
            if each == "fail":
                raise StoreError("the connection was lost")
            if each == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if str(each).startswith("/"):
                Path(str(each)).read_text()
                continue
            if each == "skip":
                unreadable.skip("the store", "an item", "it is no record")
                continue
            yield boots.boot(int(each))


def gathered(batches: list[list[int | str]], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    """The exit status, the ids, and the errors told."""
    ids: list[str] = []
    status = sets.gather(set_processes.parts(2, Reader(), Ids(), batches), ids.extend)
    return status, ids, capsys.readouterr().err


def test_parts_come_in_order_and_what_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    batches: list[list[int | str]] = [[1, 2, 3], [4, "skip"], *([i] for i in range(5, 12))]
    with unreadable.collected() as ledger:
        status, ids, errors = gathered(batches, capsys)
    assert (status, errors) == (0, "")
    assert ids == [boots.boot(i).base_id for i in range(1, 12)]
    assert list(ledger.lines()) == ["the store: an item is left out: it is no record"]


def test_this_process_reads_while_another_one_starts() -> None:
    with unreadable.collected() as ledger:
        parts = list(set_processes.parts(2, Reader(), Pids(), [[1], [2], [3, "skip"], [4]]))
    assert [count for count, _ in parts] == [1, 1, 1, 1]
    assert parts[0][1] == parts[1][1]
    assert parts[0][1] != parts[2][1] == [os.getpid()]
    assert ledger.skipped == 1


def test_the_traces_before_a_failure_of_the_store_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    status, ids, errors = gathered([[1, 2], [3, "fail", 4], [5]], capsys)
    assert status == 1
    assert ids == [boots.boot(i).base_id for i in (1, 2, 3)]
    assert errors == "osprofiler: the store failed: the connection was lost; this is of 3 traces read until then\n"


def test_the_death_of_a_process_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(sets.ReaderDied, match=r"^a process that read traces was killed; perhaps memory ran out$"):
        gathered([["die"]], capsys)


_PROGRAM = """
import sys
from osprofiler.cmd import set_processes, sets
from tests.unit.test_cli_set_processes import Ids, Reader

if __name__ == "__main__":
    def told_when_taken():
        # With so many processes this one leaves all batches to the others.
        for part in set_processes.parts(3, Reader(), Ids(), [[1], [2], [sys.argv[1]], [3]]):
            yield part
            print(*part[1], flush=True)

    sys.exit(sets.gather(told_when_taken(), len))
"""


def test_an_interrupt_of_all_processes_shows_what_was_read(tmp_path: Path) -> None:
    """As a terminal does, every process gets the signal; meanwhile one waits for a pipe."""
    pipe, program = tmp_path / "pipe", tmp_path / "program.py"
    os.mkfifo(pipe)
    program.write_text(_PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    ids = [process.stdout.readline().strip() for _ in range(2)]
    with pipe.open("w"):  # returns when the process has opened the other end
        os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert ids == [boots.boot(i).base_id for i in (1, 2)]
    assert out == ""
    assert errors == "osprofiler: interrupted; this is of 2 traces read until then\n"
    assert process.returncode == 130
