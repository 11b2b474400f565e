# SPDX-License-Identifier: Apache-2.0
"""A service that logs with oslo.log: ``oslo_log_lines.py context|json STORE``. It prints the ids of its trace and span.

Its records from WARNING on become logs of its spans, in the store with that connection string.
"""

import sys

from oslo_config import cfg
from oslo_context.context import RequestContext
from oslo_log import log

from osprofiler import initializer, opentracing_compat, opts, profiler

conf = cfg.ConfigOpts()
log.register_options(conf)
opts.set_defaults(conf, enabled=True, hmac_keys="key", connection_string=sys.argv[2])
conf.set_default("log_records", "WARNING", group="profiler")
form = sys.argv[1]
conf(["--nouse-journal", "--use-json"] if form == "json" else [], project="service")
conf.set_override("logging_default_format_string", "[-] %(message)s")
conf.set_override("logging_context_format_string", "[%(request_id)s %(user)s %(trace_id)s %(span_id)s] %(message)s")
conf.set_override("use_stderr", True)
conf.set_override("default_log_levels", ["osprofiler=CRITICAL"])
log.setup(conf, "service")
LOG = log.getLogger("service")
LOG.warning("before")
initializer.init_from_conf(conf, None, "service", "api", "host")
profiler.init("key")
context = RequestContext(request_id="req-1", user_id="u")
with profiler.Trace("work"):
    LOG.warning("inside, password=hunter2")
    LOG.warning("with its own", more="5")
    here = profiler.get()
    print(here.get_base_id().replace("-", ""), here.get_id()[19:].replace("-", ""))
profiler.clean()
LOG.warning("after")
assert opentracing_compat.flush(30)
