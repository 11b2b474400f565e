# SPDX-License-Identifier: Apache-2.0
"""The names of osprofiler's own tags, of the reserved key of records, and of the kinds of references.

Spans in Jaeger, records in stores and reports are read by these names, so they never change.
"""

from __future__ import annotations

from typing import Final

# Kinds of references; the same texts as in opentracing.ReferenceType.
#: The parent depends on the span.
CHILD_OF: Final = "child_of"
#: The parent does not wait for the span.
FOLLOWS_FROM: Final = "follows_from"

#: The key of a record's ``info`` for what older readers do not know. In a start record: ``operation``, ``parent``
#: (``child_of`` or ``follows_from``; absent under a virtual root), ``pid``, and ``process`` (what else another tracer's
#: process says of itself). In a stop record: ``tags``, ``logs``
#: ([microseconds since the epoch, fields] each) and ``links`` ([type, base_id, trace_id of the point] each).
RESERVED: Final = "osprofiler"

# Tags of each span of a trace point
#: The trace point's name.
NAME: Final = "osprofiler.name"
#: The trace's id, where the integer trace id does not give it back.
BASE_ID: Final = "osprofiler.base_id"
#: The trace point's id, where the trace's and the span's integers do not give it back.
POINT_ID: Final = "osprofiler.trace_id"
#: The parent's id, where the trace's and the span's integers do not give it back.
PARENT_ID: Final = "osprofiler.parent_id"
#: The full name of the class that runs a method, where another class defines the method.
CLASS: Final = "osprofiler.class"
#: The span id of the point inside that an exception has come from; a field of an error's log.
RAISED_IN: Final = "error.raised_in"

# Tags of spans of which something is missing
#: True where only the start record was stored.
UNFINISHED: Final = "osprofiler.unfinished"
#: True where only the stop record was stored.
START_LOST: Final = "osprofiler.start_lost"
#: True where texts were cut, since the span was too large for its transport.
CUT: Final = "osprofiler.cut"
#: True where the point was still open when the one around it was closed.
UNCLOSED: Final = "osprofiler.unclosed"
#: True where the server closed a WSGI answer before it had read the whole body.
BODY_UNREAD: Final = "osprofiler.body_unread"

# Tags of branches
#: The name of the branch's fork; of an automatic branch, of the instrumentation that made it.
FORK: Final = "osprofiler.fork"
#: True where the forker does not wait for the branch, or cannot: it had ended when it made the branch.
DETACHED: Final = "osprofiler.detached"
#: True where a branch was entered a second time; the span is an ordinary child.
ENTERED_AGAIN: Final = "osprofiler.entered_again"
#: True where a branch was made before a fork(2) and entered in the child without having been handed over; the span is
#: an ordinary child, since the parent process may enter the branch as well.
INHERITED: Final = "osprofiler.inherited"
#: What had ended before the branch was entered. ``"trace"``: all that this process did for the trace; ``"parent"``:
#: the point that it was forked from, though its forker meant to wait.
ENTERED_LATE: Final = "osprofiler.entered_late"

# Tags of joins
#: The names of the forks that the join joins.
JOIN: Final = "osprofiler.join"
#: How many branches were still running.
JOIN_UNFINISHED: Final = "osprofiler.join.unfinished"
#: How many branches were left open by a flow that is gone.
JOIN_ABANDONED: Final = "osprofiler.join.abandoned"
#: How many branches were never entered.
JOIN_NEVER_ENTERED: Final = "osprofiler.join.never_entered"
#: How many branches were ended by an exception; these are referenced.
JOIN_FAILED: Final = "osprofiler.join.failed"
#: How many branches were handed to another process. They are referenced as well: this process cannot see their end,
#: and takes the caller's word.
JOIN_ELSEWHERE: Final = "osprofiler.join.elsewhere"
#: Those tags that count branches which have not simply ended; some of the branches' names are in ``<tag>.names``.
JOIN_COUNTS: Final = (JOIN_UNFINISHED, JOIN_ABANDONED, JOIN_NEVER_ENTERED, JOIN_FAILED, JOIN_ELSEWHERE)
#: ``2/10`` on a join of so many branches that their references do not fit one span. Each part also references the one
#: before, so the last part comes after all branches.
JOIN_PART: Final = "osprofiler.join.part"

# Tags of processes
#: The version of osprofiler that runs in the process.
VERSION: Final = "osprofiler.version"
