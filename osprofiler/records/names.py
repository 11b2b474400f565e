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

#: The key of a record's ``info`` for fields that older readers do not know. In a start record: ``operation``,
#: ``parent`` (``child_of`` or ``follows_from``; absent under a virtual root), ``pid``, and ``process`` (other tags of
#: the process of another tracer). In a stop record: ``tags``, ``logs`` ([microseconds since the epoch, fields] each)
#: and ``links`` ([type, base_id, trace_id of the point] each).
RESERVED: Final = "osprofiler"

# Tags of each span of a trace point
#: The trace point's name.
NAME: Final = "osprofiler.name"
#: The id of the trace, if its text does not follow from the integer trace id.
BASE_ID: Final = "osprofiler.base_id"
#: The id of the trace point, if its text does not follow from the integers of the trace and the span.
POINT_ID: Final = "osprofiler.trace_id"
#: The id of the parent, if its text does not follow from the integers of the trace and the span.
PARENT_ID: Final = "osprofiler.parent_id"
#: The full name of the class that runs a method, if another class defines the method.
CLASS: Final = "osprofiler.class"
#: The span id of the inner point that an exception comes from. It is a field of the log of an error.
RAISED_IN: Final = "error.raised_in"

# Tags of incomplete spans
#: True if only the start record was stored.
UNFINISHED: Final = "osprofiler.unfinished"
#: True if only the stop record was stored.
START_LOST: Final = "osprofiler.start_lost"
#: True if texts were cut, since the span was too large for its transport.
CUT: Final = "osprofiler.cut"
#: True if the point was still open when the point around it was closed.
UNCLOSED: Final = "osprofiler.unclosed"
#: True if the server closed a WSGI response before it had read the whole body.
BODY_UNREAD: Final = "osprofiler.body_unread"
#: The name of the key with limits that signed the request.
KEY: Final = "osprofiler.key"

# Tags of server spans: the request in OpenStack's terms. The spans of oslo.middleware have the same names.
#: The id of the request in this service: ``req-`` and a UUID.
REQUEST_ID: Final = "openstack.request_id"
#: The id of the request that a user sent, which all services share.
GLOBAL_REQUEST_ID: Final = "openstack.global_request_id"
#: The user who sent the request.
USER_ID: Final = "openstack.user_id"
#: The project that the request is for.
PROJECT_ID: Final = "openstack.project_id"
#: The domain that the request is for, if it is for a whole domain.
DOMAIN_ID: Final = "openstack.domain_id"
#: The resource that the request is about, by its kind: ``openstack.server_id``, ``openstack.volume_id``.
RESOURCE_ID: Final = "openstack.{}_id"

# Tags of the first span of a trace
#: The reason of the policy's rule by which the trace was recorded.
RULE: Final = "sampling.rule"

# Tags of branches
#: The name of the branch's fork. For an automatic branch, the name of the instrumentation that made it.
FORK: Final = "osprofiler.fork"
#: True if the forker does not wait for the branch, or cannot, since it had ended when it made the branch.
DETACHED: Final = "osprofiler.detached"
#: True if a branch was entered a second time. The span is an ordinary child.
ENTERED_AGAIN: Final = "osprofiler.entered_again"
#: True if a branch was made before a fork(2), and the child entered it without having been given it. The span is an
#: ordinary child, since the parent process may enter the branch as well.
INHERITED: Final = "osprofiler.inherited"
#: Which had ended before the branch was entered. ``"trace"``: all work of this process for the trace. ``"parent"``: the
#: point of its fork, though its forker meant to wait.
ENTERED_LATE: Final = "osprofiler.entered_late"

# Tags of joins
#: The names of the forks that the join joins.
JOIN: Final = "osprofiler.join"
#: How many branches were still running.
JOIN_UNFINISHED: Final = "osprofiler.join.unfinished"
#: How many branches a flow left open that has ended.
JOIN_ABANDONED: Final = "osprofiler.join.abandoned"
#: How many branches were never entered.
JOIN_NEVER_ENTERED: Final = "osprofiler.join.never_entered"
#: How many branches ended by an exception. The join references them.
JOIN_FAILED: Final = "osprofiler.join.failed"
#: How many branches were given to another process. The join references them. This process cannot see their end, and
#: believes its caller.
JOIN_ELSEWHERE: Final = "osprofiler.join.elsewhere"
#: The tags that count branches without a normal end here. Some names of the branches are in ``<tag>.names``.
JOIN_COUNTS: Final = (JOIN_UNFINISHED, JOIN_ABANDONED, JOIN_NEVER_ENTERED, JOIN_FAILED, JOIN_ELSEWHERE)
#: ``2/10`` if the references of a join do not fit one span. Each part also references the part before it, so the last
#: part comes after all branches.
JOIN_PART: Final = "osprofiler.join.part"

# Tags of processes
#: The version of osprofiler that runs in the process.
VERSION: Final = "osprofiler.version"
