-- SPDX-License-Identifier: Apache-2.0
-- What `osprofiler trace stats --by hour` prints: each operation by the hour (UTC) in which its trace began.
-- For days write 'day' for 'hour'.
WITH traces AS (
    SELECT trace_id, DATE_TRUNC('hour', MIN(started)) AS hour
    FROM spans
    GROUP BY trace_id
)
SELECT
    traces.hour,
    service,
    operation,
    COUNT(*) AS spans,
    COALESCE(PERCENTILE_DISC(0.50) WITHIN GROUP (ORDER BY duration_us), 0) AS p50_us,
    COALESCE(PERCENTILE_DISC(0.95) WITHIN GROUP (ORDER BY duration_us), 0) AS p95_us,
    COALESCE(PERCENTILE_DISC(0.99) WITHIN GROUP (ORDER BY duration_us), 0) AS p99_us,
    COUNT(error) AS errors
FROM spans
JOIN traces ON traces.trace_id = spans.trace_id
GROUP BY traces.hour, service, operation
ORDER BY traces.hour, service, operation
