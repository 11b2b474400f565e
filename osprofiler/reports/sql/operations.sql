-- SPDX-License-Identifier: Apache-2.0
-- What `osprofiler trace stats` prints: the spans of each operation, the one with the most self time first.
-- Times are in microseconds, and only of finished spans. Add WHERE, or another ORDER BY, as you need.
SELECT
    service,
    operation,
    COUNT(*) AS spans,
    COALESCE(SUM(duration_us), 0) AS total_us,
    SUM(self_us) AS self_us,
    COALESCE(PERCENTILE_DISC(0.50) WITHIN GROUP (ORDER BY duration_us), 0) AS p50_us,
    COALESCE(PERCENTILE_DISC(0.95) WITHIN GROUP (ORDER BY duration_us), 0) AS p95_us,
    COALESCE(PERCENTILE_DISC(0.99) WITHIN GROUP (ORDER BY duration_us), 0) AS p99_us,
    COALESCE(MAX(duration_us), 0) AS max_us,
    COUNT(error) AS errors,
    COUNT(*) - COUNT(duration_us) AS unfinished
FROM spans
GROUP BY service, operation
ORDER BY self_us DESC, spans DESC, service, operation
