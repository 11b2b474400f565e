# SPDX-License-Identifier: Apache-2.0
"""Run by an interpreter with an old pymongo: our driver on a server that today's pymongo refuses.

Arguments: the connection string. Prints, as JSON, what the server then holds.
"""

import json
import sys

import pymongo

from osprofiler.drivers.mongodb import MongoDB
from osprofiler.records.record import timestamp

BASE_ID = "6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11"


def record(phase: str, at_us: int, **info: object) -> dict[str, object]:
    return {
        "name": f"wsgi-{phase}",
        "base_id": BASE_ID,
        "trace_id": "6b1f7f9e-4a36-4a53-0000-000000000001",
        "parent_id": BASE_ID,
        "timestamp": timestamp(1_795_000_000_000_000 + at_us),
        "info": {"host": "h", **info},
    }


driver = MongoDB(sys.argv[1], db_name="old")
written = [record("start", 0, **{"a.b": {"$c": 1}}), record("stop", 5, etype="X")]
driver.write(written)
found = [{key: value for key, value in each.items() if value is not None} for each in driver.read(BASE_ID)]
indexes = driver.db.profiler.index_information()
print(
    json.dumps(
        {
            "pymongo": pymongo.version,
            "same": found == written,
            "listed": driver.list_traces(),
            "failed": driver.list_error_traces(),
            "expiries": [index["expireAfterSeconds"] for index in indexes.values() if "expireAfterSeconds" in index],
            "dated": driver.db.profiler.count_documents({"stored_at": {"$type": "date"}}),
            "deleted": driver.delete(BASE_ID),
        }
    )
)
