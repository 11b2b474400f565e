# SPDX-License-Identifier: Apache-2.0
"""Records, headers, envelopes, carriers, the bytes of each wire and reports are equal to the recorded corpus."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).with_name("corpus")

#: Cases whose rule was changed on purpose since the corpus was recorded, and why.
_CLIENT_ERRORS = "to an HTTP client a status from 400 is an error, whichever library sends the request"
_USER = "a server's span has the user of its request"
CHANGED = {f"http_client as {form}": _CLIENT_ERRORS for form in ("store", "thrift binary", "thrift compact", "otlp")}
CHANGED["rpc as store"] = _USER


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return dict(json.loads((CORPUS / "corpus.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def replayed() -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", str(CORPUS / "make.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def first_difference(before: Any, after: Any) -> str:
    """The place where two texts begin to differ, with its surroundings."""
    one, other = json.dumps(before), json.dumps(after)
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    here = slice(max(at - 120, 0), at + 120)
    return f"\n  recorded: ...{one[here]}\n  now:      ...{other[here]}"


def test_each_case_is_as_it_was_recorded(recorded: dict[str, Any], replayed: dict[str, Any]) -> None:
    different = {
        name: first_difference(recorded[name], replayed[name])
        for name in recorded.keys() & replayed.keys()
        if json.dumps(recorded[name]) != json.dumps(replayed[name])  # the order of names counts too
    }
    assert "".join(f"\n{name}:{text}" for name, text in sorted(different.items()) if name not in CHANGED) == ""
    assert set(CHANGED) <= set(different), "as it was recorded; it needs no reason any more"


def test_the_same_cases_are_replayed(recorded: dict[str, Any], replayed: dict[str, Any]) -> None:
    assert list(recorded) == list(replayed)


def test_every_trace_is_recorded_somewhere(recorded: dict[str, Any]) -> None:
    """An empty result may be right in other cases: an untrusted context, a request that is not traced."""
    wires = ("records", "store", "thrift binary", "thrift compact", "otlp")
    traces = {name for name in recorded if name.endswith(tuple(f" as {wire}" for wire in wires)) or " shown" in name}
    assert len(traces) > 50
    assert [name for name in traces if not recorded[name]] == []
