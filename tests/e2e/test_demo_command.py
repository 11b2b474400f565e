# SPDX-License-Identifier: Apache-2.0
"""The demo as its users meet it: what it prints, where it leaves the report, how it fails, what it leaves running."""

import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from osprofiler.demo import outcome
from tests.e2e import clouds, traces
from tests.servers import Jaeger, Rabbit
from tests.servers.base import free_port
from tests.waiting import wait_until

_COMMAND = [sys.executable, "-m", "osprofiler.cmd.shell", "demo"]
_MARK = "OSPROFILER_TEST_RUN"


def _demo(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=home,
        env=clouds.environment(XDG_STATE_HOME=str(home), TMPDIR=str(_temporary(home))),
    )


def _temporary(home: Path) -> Path:
    folder = home / "temporary"
    folder.mkdir(exist_ok=True)
    return folder


def _one_line(text: str) -> str:
    """The one line that is no progress."""
    lines = [line for line in text.splitlines() if not line.startswith("waiting for ")]
    assert len(lines) == 1, text
    return lines[0]


def test_without_arguments_it_needs_nothing_and_shows_the_trace(tmp_path: Path) -> None:
    done = _demo(tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.search(r"The server is ACTIVE. Trace ([0-9a-f-]{36})", done.stdout)
    assert found, done.stdout
    for operation in {path[-1].operation for path in clouds.EXPECTED_IN_MEMORY}:
        assert operation in done.stdout
    report = re.search(r"HTML report: (.*)", done.stdout)
    assert report
    page = Path(report[1]).read_text()
    assert "scheduler.ask" in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", page)
    assert "waiting for" in done.stderr
    assert not list(_temporary(tmp_path).iterdir()), "it leaves its working files behind"
    store = f"sqlite:///{tmp_path}/osprofiler/traces.db"
    traces.assert_same(traces.in_store(outcome.read(store, found[1])), clouds.EXPECTED_IN_MEMORY)


@pytest.mark.parametrize(
    ("fault", "kind"), [("image", "ImageDamaged"), ("db", "OperationalError"), ("compute", "HypervisorFailed")]
)
def test_a_fault_shows_where_it_began(tmp_path: Path, fault: str, kind: str) -> None:
    done = _demo(tmp_path, "--fault", fault, "--html", "report.html")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The server is ERROR." in done.stdout
    assert kind in done.stdout
    assert kind in (tmp_path / "report.html").read_text()


def test_a_fault_shows_in_jaeger_over_rabbit(jaeger: Jaeger, rabbit: Rabbit, tmp_path: Path) -> None:
    done = _demo(tmp_path, "--fault", "compute", "--transport-url", rabbit.url, "--connection-string", jaeger.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"osprofiler\.demo\.compute\.spawn \[\S*compute-2\].*HypervisorFailed", done.stdout)


def test_the_link_leads_to_the_trace(jaeger: Jaeger, tmp_path: Path) -> None:
    done = _demo(tmp_path, "--connection-string", jaeger.udp_url)
    assert done.returncode == 0, done.stdout + done.stderr
    whole = sum(clouds.EXPECTED_IN_MEMORY.values())
    link = re.search(rf"{whole} spans in Jaeger: {re.escape(jaeger.query_url)}/trace/([0-9a-f]{{32}})", done.stdout)
    assert link, done.stdout
    assert jaeger.trace(link[1])


def test_no_broker(tmp_path: Path) -> None:
    done = _demo(tmp_path, "--transport-url", f"rabbit://guest:guest@127.0.0.1:{free_port()}/")
    assert done.returncode == 1
    assert "no message broker answers at 127.0.0.1:" in _one_line(done.stderr)


def test_no_collector(tmp_path: Path) -> None:
    done = _demo(tmp_path, "--connection-string", f"jaeger+http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "no Jaeger collector answers at 127.0.0.1:" in _one_line(done.stderr)


def test_no_database(tmp_path: Path) -> None:
    done = _demo(tmp_path, "--db-url", f"mysql+pymysql://osp:hidden@127.0.0.1:{free_port()}/osp")
    assert done.returncode == 1
    line = _one_line(done.stderr)
    assert "no database at mysql+pymysql://osp:***@127.0.0.1:" in line
    assert not list(_temporary(tmp_path).iterdir())
    assert "hidden" not in line


@pytest.mark.parametrize(
    "options",
    [
        ("--connection-string", "no such thing"),
        ("--connection-string", "sqlite:///"),
        ("--connection-string", "jaeger://"),
        ("--transport-url", "rabbit://"),
        ("--transport-url", "nonsense"),
        ("--db-url", "nonsense"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = _demo(tmp_path, *options)
    assert done.returncode == 2, done.stdout + done.stderr
    assert _one_line(done.stderr).startswith("osprofiler demo: ")


def test_without_oslo_messaging_it_says_what_to_install(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['oslo_messaging'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", hide + "from osprofiler.cmd import shell; sys.exit(shell.main())", "demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env=clouds.environment(XDG_STATE_HOME=str(tmp_path)),
    )
    assert done.returncode == 1, done.stderr
    assert _one_line(done.stderr).endswith("the demo needs oslo.messaging: pip install oslo.messaging")


def _marked(mark: str) -> list[int]:
    """The processes that carry *mark* in their environment, and so descend from the test's demo."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended, or is not ours to look at
            continue
    return found


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_no_process_stays(tmp_path: Path, how: signal.Signals) -> None:
    mark = uuid.uuid4().hex
    demo = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clouds.environment(XDG_STATE_HOME=str(tmp_path), TMPDIR=str(_temporary(tmp_path)), **{_MARK: mark}),
    )
    assert demo.stderr is not None
    for line in demo.stderr:
        if line.startswith("waiting for the client"):
            break
    assert len(_marked(mark)) > 2
    demo.send_signal(how)
    _, printed = demo.communicate(timeout=120)
    wait_until(lambda: not _marked(mark), what="the demo's processes to be gone")
    if how is signal.SIGINT:
        assert demo.returncode == 130
        assert not list(_temporary(tmp_path).iterdir())
        assert _one_line(printed) == "osprofiler demo: interrupted"
