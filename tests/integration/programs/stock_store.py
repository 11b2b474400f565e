# SPDX-License-Identifier: Apache-2.0
"""Run by an interpreter that has osprofiler 4.4.0: writes records from stdin, or reads a report, with its drivers.

Arguments: the connection string, the driver's further arguments as JSON, and ``write``, ``read BASE_ID``, ``list`` or
``errors``.
"""

import json
import sys

from oslo_config import cfg

from osprofiler import opts
from osprofiler.drivers import base


def main() -> None:
    connection_string, options, action, *rest = sys.argv[1:]
    opts.set_defaults(cfg.CONF)
    named = json.loads(options)
    filter_error_trace = named.pop("filter_error_trace", False)
    cfg.CONF.set_override("filter_error_trace", filter_error_trace, group="profiler")
    driver = base.get_driver(connection_string, project="nova", service="old", host="h", conf=cfg.CONF, **named)
    if action == "write":
        for record in json.load(sys.stdin):
            driver.notify(record)
    elif action == "read":
        print("\n" + json.dumps(driver.get_report(*rest), default=str))
    elif action == "list":
        print("\n" + json.dumps(driver.list_traces()))
    else:
        print("\n" + json.dumps(driver.list_error_traces()))


main()
