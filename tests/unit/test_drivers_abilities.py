# SPDX-License-Identifier: Apache-2.0
"""The abilities of drivers: declared, derived for a driver that declares nothing, and read by callers."""

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from osprofiler import exc
from osprofiler._runtime import entry_points
from osprofiler.cmd import shell
from osprofiler.connection import options
from osprofiler.drivers import base, locate, search
from osprofiler.drivers.base import Can, Unsupported
from osprofiler.drivers.otlp import OTLP
from osprofiler.drivers.redis_driver import Redis
from osprofiler.testing.records import TRACE

_OURS = list(dict.fromkeys(scheme.driver for scheme in options.SCHEMES))


class Stock(base.Driver):
    """The driver in the documentation of osprofiler 4.4.0."""

    @classmethod
    def get_name(cls) -> str:
        return "stock"

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None: ...

    def get_report(self, base_id: str) -> dict[str, Any]:
        return {"children": []}


class StockOnRedis(Redis):
    """A subclass, written for osprofiler 4.4.0, of a driver that has the newer methods too."""

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None: ...

    def get_report(self, base_id: str) -> dict[str, Any]:
        return super().get_report(base_id)


class Listing:
    """A mixin that has a method of a driver."""

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        return []

    def delete(self, base_id: str) -> int:
        return 0


class Mixed(Listing, Stock):
    """Inherited methods count too."""


class Renamed(Redis):
    """It overrides no method of an ability."""

    @classmethod
    def get_name(cls) -> str:
        return "renamed"


class Restricted(Redis):
    """It declares fewer abilities than its base."""

    can = frozenset({Can.WRITE})


class BelowRestricted(Restricted):
    def read(self, base_id: str) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(
    ("driver", "can"),
    [
        (base.Driver, set()),
        (Stock, {Can.WRITE, Can.READ}),
        (StockOnRedis, Redis.can - {Can.WRITE_BATCH, Can.READ_RECORDS, Can.READ_SHARED}),
        (Mixed, {Can.WRITE, Can.READ, Can.LIST, Can.DELETE, Can.PURGE}),
        (Renamed, Redis.can),
        (Restricted, {Can.WRITE}),
        (BelowRestricted, {Can.WRITE, Can.READ, Can.READ_RECORDS}),
    ],
)
def test_what_is_not_declared_is_derived(driver: type[base.Driver], can: set[Can]) -> None:
    assert driver.can == can


@pytest.mark.parametrize("name", _OURS)
def test_our_drivers_declare_what_they_can(name: str) -> None:
    """Nothing is derived for a driver of this package."""
    driver = locate._built_in(next(each.names[0] for each in options.SCHEMES if each.driver == name))
    assert driver is not None
    declaring = next(kind for kind in driver.__mro__ if "can" in vars(kind))
    module = declaring.__module__.rpartition(".")[2]
    assert module in (driver.__module__.rpartition(".")[2], "span_store", "redis_driver")
    assert {Can.WRITE, Can.WRITE_BATCH, Can.READ, Can.READ_RECORDS, Can.LIST, Can.LIST_ERRORS} <= driver.can


@pytest.mark.parametrize(
    ("call", "ability"),
    [
        ("write", Can.WRITE),
        ("notify", Can.WRITE),
        ("read", Can.READ_RECORDS),
        ("get_report", Can.READ_RECORDS),
        ("list_traces", Can.LIST),
        ("find_ids", Can.LIST),
        ("candidates", Can.LIST),
        ("list_error_traces", Can.LIST_ERRORS),
        ("delete", Can.DELETE),
        ("purge", Can.PURGE),
    ],
)
def test_a_call_of_what_it_cannot_is_one_error(call: str, ability: Can) -> None:
    arguments: dict[str, list[Any]] = {
        "write": [[{}]], "notify": [{}], "purge": [1], "candidates": [base.Wanted()],
    }  # fmt: skip
    with_id = [TRACE] if call in ("read", "get_report", "delete") else []
    with pytest.raises(Unsupported, match=f"^the driver Driver cannot {ability.value}$") as caught:
        getattr(base.Driver("x://"), call)(*arguments.get(call, with_id))
    assert isinstance(caught.value, NotImplementedError)  # osprofiler 4.4.0 raises it
    assert isinstance(caught.value, exc.CommandError)


def test_a_store_of_spans_that_cannot_be_read_says_so() -> None:
    assert OTLP("otlp://h").can == {Can.WRITE, Can.WRITE_BATCH}
    assert OTLP("otlp://h?query=http://h").can == OTLP.can
    with pytest.raises(Unsupported, match="only takes traces"):
        OTLP("otlp://h").read(TRACE)


def test_traces_are_read_for_what_the_driver_cannot_list() -> None:
    wanted = search.Wanted(error=True)
    assert search.must_read(Mixed("stock://"), wanted)
    assert not search.must_read(Redis("redis://h"), wanted)


@pytest.mark.parametrize(
    "how", [["delete", TRACE], ["purge", "--older-than", "1d"], ["purge", "--older-than", "1d", "--dry-run"], ["list"]]
)
def test_the_command_line_says_what_a_store_cannot(how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", *how, "--connection-string", "stock://"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot delete traces" in line or "cannot list traces" in line


_AFAR = """
from osprofiler.drivers.base import Can, Driver, Option

class Afar(Driver):
    can = frozenset({Can.WRITE})
    connection_options = (Option("depth", "N", "how deep"),)

    @classmethod
    def get_name(cls):
        return "fromafar"

    def notify(self, info, **kwargs):
        pass

not_a_driver = 5
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver of another package: one file and one entry point."""
    (tmp_path / "afar.py").write_text(_AFAR)
    folder = tmp_path / "afar-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: afar\nVersion: 1.0\n")
    entries = ["fromafar = afar:Afar", "wrong = afar:not_a_driver"]
    (folder / "entry_points.txt").write_text("\n".join([f"[{entry_points.DRIVERS}]", *entries]))
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("installed")
class TestDriverOfAnotherPackage:
    url: ClassVar[str] = "fromafar://h?depth=3"

    def test_its_options_are_checked(self) -> None:
        assert base.get_driver(self.url).can == {Can.WRITE}
        with pytest.raises(ValueError, match="there is no option 'width'; the options are depth"):
            base.get_driver("fromafar://h?width=3")

    def test_what_is_registered_is_a_driver(self) -> None:
        with pytest.raises(ValueError, match=r"afar:not_a_driver, registered for wrong://, is not a subclass"):
            base.get_driver("wrong://h")


def test_abilities_load_no_store() -> None:
    program = (
        "import sys; from osprofiler.drivers import base, exporter;"
        "print(sorted({'sqlalchemy', 'redis', 'pymongo', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
