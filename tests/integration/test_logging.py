# SPDX-License-Identifier: Apache-2.0
"""From a line of a log to its trace in Jaeger, whose spans have the service's records; a secret is masked there."""

from pathlib import Path

import pytest

from osprofiler.cmd import shell
from tests.servers import Jaeger
from tests.unit.test_logging import run


def test_a_line_leads_to_the_span_that_has_its_record(
    jaeger: Jaeger, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, _, lines = run("context", jaeger.url)
    (line,) = [line for line in lines if "inside" in line]
    trace_id, span_id = line.partition("]")[0].split()[-2:]
    (span,) = jaeger.wait_for_trace(trace_id, 1)["spans"]
    assert span["spanID"] == span_id
    logs = [{field["key"]: field["value"] for field in log["fields"]} for log in span["logs"]]
    assert [(log["level"], log["logger"], log["message"]) for log in logs] == [
        ("WARNING", "service", "inside, password=***"),
        ("WARNING", "service", "with its own"),
    ]
    assert shell.main(["trace", "show", trace_id, "--connection-string", jaeger.url]) == 0
    assert "work" in capsys.readouterr().out
