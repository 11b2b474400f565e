-- SPDX-License-Identifier: Apache-2.0
-- The slowest traces: `osprofiler trace show ID` shows one.
SELECT
    trace_id,
    MIN(started) AS started,
    MAX(start_us + COALESCE(duration_us, 0)) - MIN(start_us) AS duration_us,
    MIN(CASE WHEN depth = 0 THEN operation END) AS operation,
    COUNT(*) AS spans,
    COUNT(DISTINCT service) AS services,
    COUNT(error) AS errors
FROM spans
GROUP BY trace_id
ORDER BY duration_us DESC, trace_id
LIMIT 50
