# SPDX-License-Identifier: Apache-2.0
"""A driver and a report in somebody else's code: mypy reads this file, nothing runs it."""

from collections.abc import Sequence
from typing import Any

from osprofiler import reports
from osprofiler.drivers import base


class Memory(base.Driver):
    """A driver as osprofiler 5 wants it."""

    def __init__(self, connection_str: str, **kwargs: Any) -> None:
        super().__init__(connection_str, **kwargs)
        self.records: list[dict[str, Any]] = []

    @classmethod
    def get_name(cls) -> str:
        return "memory"

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        self.records.extend(records)

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["base_id"] == base_id]


driver: base.Driver = base.get_driver("memory://", project="nova")
trace: reports.Trace = reports.from_records(driver.read("base"))
shares = reports.find_critical_path(trace).shares()
longest: int = max(share.self_us for share in shares)


class Wrong(base.Driver):
    """A driver with another idea of what it writes."""

    def write(self, records: int) -> None:  # type: ignore[override]
        pass


base.get_driver(1)  # type: ignore[arg-type]
