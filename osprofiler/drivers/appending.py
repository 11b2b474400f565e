# SPDX-License-Identifier: Apache-2.0
"""How drivers for osprofiler 4.4.0 make a report: they append each record, and then parse all of them."""

from __future__ import annotations

import datetime
from typing import Any

from osprofiler.records.record import as_mapping, split_name
from osprofiler.reports import model
from osprofiler.reports.views import json_report


class Appending:
    """The methods of ``Driver`` that these drivers call, and the attributes that they read."""

    # For a subclass whose constructor does not call Driver's.
    _parsed: bool = True

    def _forget_results(self) -> None:
        self.result: dict[str, Any] = {}
        self.started_at: datetime.datetime | None = None
        self.finished_at: datetime.datetime | None = None
        self.last_started_at: datetime.datetime | None = None
        self._appended: list[dict[str, Any]] = []
        self._payloads: list[Any] = []
        self._parsed = False

    def _append_results(
        self,
        trace_id: str,
        parent_id: str,
        name: str,
        project: str | None,
        service: str | None,
        host: str | None,
        timestamp: str,
        raw_payload: dict[str, Any] | None = None,
    ) -> None:
        """Add one record of a trace to the report, which also shows *raw_payload* unchanged.

        The first record after a finished report begins a new report.
        """
        if self._parsed:
            self._forget_results()
        payload = as_mapping(raw_payload)
        info = as_mapping(payload.get("info"))
        record = {
            "name": name,
            "base_id": payload.get("base_id"),
            "trace_id": trace_id,
            "parent_id": parent_id,
            "project": project,
            "service": service,
            "host": host,
            "timestamp": timestamp,
            "info": info,
        }
        self._appended.append(record)
        self._payloads.append(raw_payload)

        # Subclasses may read these attributes.
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=model.time_us(timestamp))
        point, phase = split_name(name)
        node = self.result.setdefault(
            trace_id,
            {
                "info": {"name": point, "project": project, "service": service, "host": host},
                "trace_id": trace_id,
                "parent_id": parent_id,
            },
        )
        node["info"][f"meta.raw_payload.{name}"] = raw_payload
        if phase == "stop":
            node["info"].update(finished=at, exception=info.get("etype", "None"))
        else:
            node["info"]["started"] = at
            self.last_started_at = max(self.last_started_at or at, at)
        self.started_at = min(self.started_at or at, at)
        self.finished_at = max(self.finished_at or at, at)

    def _parse_results(self) -> dict[str, Any]:
        """The report of all records that were appended since the last report."""
        if "_appended" not in vars(self):
            self._forget_results()
        self._parsed = True
        return json_report.report(model.from_records(self._appended, self._payloads))

    @staticmethod
    def _build_tree(nodes: dict[str, Any]) -> list[dict[str, Any]]:
        """The roots of *nodes* (trace_id to node) with their ``children``, both by ``info.started``; O(n log n)."""
        copies = {trace_id: {**node, "children": []} for trace_id, node in nodes.items()}
        roots: list[dict[str, Any]] = []
        for node in sorted(copies.values(), key=lambda node: node["info"]["started"]):
            parent = copies.get(node["parent_id"])
            (roots if parent is None else parent["children"]).append(node)
        return roots
