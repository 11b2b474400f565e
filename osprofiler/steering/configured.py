# SPDX-License-Identifier: Apache-2.0
"""The follower that the options of a service describe."""

from __future__ import annotations

import logging
from collections.abc import Callable

from oslo_config import cfg

from osprofiler import exc
from osprofiler.config import options
from osprofiler.config.policy import Policy
from osprofiler.steering.follower import PolicyFollower
from osprofiler.steering.last_good import LastGood
from osprofiler.steering.report import Reporter
from osprofiler.steering.sources import source_of

LOG = logging.getLogger(__name__)


def follower(
    conf: cfg.ConfigOpts,
    service_name: Callable[[], str],
    changed: Callable[[Policy], None],
    before: PolicyFollower | None = None,
) -> PolicyFollower | None:
    """The follower of ``policy_file`` in *conf*; None after one line in the log if that cannot be used.

    *before*: the follower until now. If it is of the same source, its policy stays in force until a new one is read.
    """
    try:
        source = source_of(options.value(conf, "policy_file"))
    except (ValueError, exc.CommandError) as fault:
        LOG.error("[profiler] policy_file: %s; no policy is in force", fault)
        return None
    report_s = options.value(conf, "policy_report")
    return PolicyFollower(
        source,
        changed,
        interval_s=options.value(conf, "policy_interval"),
        keys=options.value(conf, "policy_key"),
        last_good=LastGood(source.shown, options.value(conf, "policy_state_dir")),
        report=Reporter(report_s, service_name) if report_s else None,
        before=before if before is not None and before.source.shown == source.shown else None,
    )
