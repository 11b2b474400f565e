# SPDX-License-Identifier: Apache-2.0
"""Write batches of ten records of one trace and say so after each: ``sql_writer.py URL NUMBER BATCHES``."""

import sys

from osprofiler.drivers import base
from osprofiler.testing.records import record

url, number, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
driver = base.get_driver(url, service=f"writer-{number}")
sys.stdin.readline()  # all begin together
for batch in range(batches):
    driver.write([record(number * 100_000 + batch * 10 + i, "start", i, text="x" * 500) for i in range(10)])
    print(batch + 1, flush=True)
