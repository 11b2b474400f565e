-- SPDX-License-Identifier: Apache-2.0
-- What got slower: the own time of each step in a trace, before and after a moment, medians in microseconds. The moment
-- is the middle of the time that the traces span; write your own in its place, as microseconds since the epoch.
-- `osprofiler trace diff` also says which changes are sure.
WITH moments AS (
    SELECT CAST(FLOOR((MIN(start_us) + MAX(start_us)) / 2) AS BIGINT) AS at_us FROM spans
),
starts AS (
    SELECT trace_id, MIN(start_us) AS start_us FROM spans GROUP BY trace_id
),
steps AS (
    SELECT
        spans.step,
        spans.trace_id,
        CASE WHEN MIN(starts.start_us) >= MIN(moments.at_us) THEN 1 ELSE 0 END AS is_after,
        SUM(spans.self_us) AS own_us
    FROM spans
    JOIN starts ON starts.trace_id = spans.trace_id
    CROSS JOIN moments
    GROUP BY spans.step, spans.trace_id
),
medians AS (
    SELECT
        step,
        SUM(1 - is_after) AS traces_before,
        SUM(is_after) AS traces_after,
        PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY CASE WHEN is_after = 0 THEN own_us END) AS before_us,
        PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY CASE WHEN is_after = 1 THEN own_us END) AS after_us
    FROM steps
    GROUP BY step
)
SELECT step, traces_before, traces_after, before_us, after_us, after_us - before_us AS change_us
FROM medians
ORDER BY ABS(COALESCE(after_us, 0) - COALESCE(before_us, 0)) DESC, step
