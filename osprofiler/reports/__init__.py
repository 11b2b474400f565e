# SPDX-License-Identifier: Apache-2.0
"""The public API for stored traces: build the model of a trace, analyse it, compare it, and write it in several forms.

::

    from osprofiler import reports
    from osprofiler.drivers.base import get_driver

    trace = reports.from_records(get_driver("sqlite:////var/lib/traces.db").read(base_id))
    for share in reports.find_critical_path(trace).shares()[:5]:
        print(share.span.operation, share.self_us)

Every function takes O(n log n) for n spans, and no function recurses in the depth of the trace. Only ``correct_clocks``
changes a trace. Do not correct a trace before you write it as a report or as records.
"""

from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.analysis.comparison import Step, Sums, compare
from osprofiler.reports.analysis.critical_path import CriticalPath, Section, Share
from osprofiler.reports.analysis.critical_path import find as find_critical_path
from osprofiler.reports.analysis.path_set import error_paths
from osprofiler.reports.analysis.path_set import groups as path_groups
from osprofiler.reports.analysis.service_map import ServiceMap
from osprofiler.reports.analysis.service_map import of as service_map_of
from osprofiler.reports.analysis.set_comparison import StepChange
from osprofiler.reports.analysis.set_comparison import compare as compare_sets
from osprofiler.reports.analysis.skew import correct as correct_clocks
from osprofiler.reports.analysis.statistics import OperationStats, self_us
from osprofiler.reports.analysis.statistics import of as statistics_of
from osprofiler.reports.analysis.trace_profile import StepTimes, TraceProfile
from osprofiler.reports.analysis.trace_profile import of as profile_of
from osprofiler.reports.files import load
from osprofiler.reports.model import Link, Log, SpanNode, Trace, from_records
from osprofiler.reports.to_records import records as records_of
from osprofiler.reports.views.dot import render as render_dot
from osprofiler.reports.views.dot import text as dot_text
from osprofiler.reports.views.html import text as html_text
from osprofiler.reports.views.jaeger_json import text as jaeger_text
from osprofiler.reports.views.json_report import from_report
from osprofiler.reports.views.json_report import report as to_report
from osprofiler.reports.views.json_report import text as report_text
from osprofiler.reports.views.perfetto import text as perfetto_text
from osprofiler.reports.views.speedscope import text as speedscope_text
from osprofiler.reports.views.tree import Style
from osprofiler.reports.views.tree import lines as tree_lines

__all__ = [
    "Trace",
    "SpanNode",
    "Log",
    "Link",
    "from_records",
    "from_report",
    "load",
    "correct_clocks",
    "self_us",
    "find_critical_path",
    "CriticalPath",
    "Section",
    "Share",
    "statistics_of",
    "OperationStats",
    "Steps",
    "profile_of",
    "TraceProfile",
    "StepTimes",
    "path_groups",
    "error_paths",
    "compare_sets",
    "StepChange",
    "service_map_of",
    "ServiceMap",
    "compare",
    "Step",
    "Sums",
    "tree_lines",
    "Style",
    "to_report",
    "report_text",
    "html_text",
    "dot_text",
    "render_dot",
    "jaeger_text",
    "perfetto_text",
    "speedscope_text",
    "records_of",
]
