# SPDX-License-Identifier: Apache-2.0
"""For the environment of stock osprofiler 4.4.0: ``stock_sql.py write|report URL BASE_ID``."""

import json
import sys

from osprofiler import notifier, profiler
from osprofiler.drivers.sqlalchemy_driver import SQLAlchemyDriver

what, url, base_id = sys.argv[1:]
driver = SQLAlchemyDriver(url, project="nova", service="nova-api", host="stock")
if what == "write":
    notifier.set(driver.notify)
    profiler.init("key", base_id=base_id)
    try:
        with profiler.Trace("wsgi", info={"request": {"path": "/servers", "method": "GET"}}):
            with profiler.Trace("db", info={"db": {"statement": "SELECT '\u65e5'"}}):
                pass
            with profiler.Trace("rpc"):
                raise ValueError("no")
    except ValueError:
        pass
else:
    print(json.dumps(driver.get_report(base_id)))
