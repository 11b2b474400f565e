# SPDX-License-Identifier: Apache-2.0
"""One program under stock 4.4.0 and under this version: the same results and the same records."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("parity_program.py")

#: Scenarios in which our names are better than stock's, which are the type of the callable: stock's names, ours.
SAID_BETTER = {
    "names_of_functions": {
        "builtins.builtin_function_or_method": {"abs", "dict.fromkeys", "list.append"},
        "functools._lru_cache_wrapper": {"__main__.named"},
    }
}


def results(python: Path | str, tmp_path: Path) -> dict[str, Any]:
    done = subprocess.run(
        # The path of stock's interpreter must not have the repository or the folder of the tests.
        [str(python), "-P" if sys.version_info >= (3, 11) else "-B", str(PROGRAM)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_same_program_records_the_same(stock_python: Path, tmp_path: Path) -> None:
    stock, ours = results(stock_python, tmp_path), results(sys.executable, tmp_path)
    assert ours.keys() == stock.keys()
    for scenario in stock:
        for theirs, mine in zip(stock[scenario]["records"], ours[scenario]["records"], strict=True):
            better = SAID_BETTER.get(scenario, {})
            name = theirs.get("info", {}).get("function", {}).get("name")
            if name in better:
                assert mine["info"]["function"]["name"] in better[name]
                theirs["info"]["function"]["name"] = mine["info"]["function"]["name"]
        assert ours[scenario] == stock[scenario], scenario
