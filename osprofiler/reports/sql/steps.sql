-- SPDX-License-Identifier: Apache-2.0
-- Where the time goes, by calling context: a step is an operation under those above it. What `osprofiler trace
-- critical-path` prints of all traces: path_us is the step's own time on the critical path, microseconds a trace.
-- self_us is its time without that of its children, on the path or not. The columns step and self_us, with a blank
-- between, are what flame-graph tools read.
WITH all_traces AS (
    SELECT COUNT(DISTINCT trace_id) AS traces FROM spans
)
SELECT
    step,
    COUNT(*) AS spans,
    COUNT(DISTINCT trace_id) AS traces,
    COUNT(DISTINCT CASE WHEN path_us > 0 THEN trace_id END) AS on_path,
    CAST(SUM(path_us) AS DOUBLE) / MAX(all_traces.traces) AS path_us,
    CAST(SUM(waiting_us) AS DOUBLE) / MAX(all_traces.traces) AS waiting_us,
    CAST(SUM(self_us) AS DOUBLE) / MAX(all_traces.traces) AS self_us,
    COUNT(error) AS errors
FROM spans
CROSS JOIN all_traces
GROUP BY step
ORDER BY path_us DESC, self_us DESC, step
