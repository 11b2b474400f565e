-- SPDX-License-Identifier: Apache-2.0
-- How often each operation fails, with which error, and in how many traces. The rate is of all spans of the operation.
WITH operations AS (
    SELECT service, operation, COUNT(*) AS spans
    FROM spans
    GROUP BY service, operation
)
SELECT
    spans.service,
    spans.operation,
    spans.error,
    COUNT(*) AS failed,
    COUNT(DISTINCT spans.trace_id) AS traces,
    CAST(COUNT(*) AS DOUBLE) / MAX(operations.spans) AS rate,
    MIN(spans.trace_id) AS example
FROM spans
JOIN operations
    ON operations.operation = spans.operation
    AND COALESCE(operations.service, '') = COALESCE(spans.service, '')
WHERE spans.error IS NOT NULL
GROUP BY spans.service, spans.operation, spans.error
ORDER BY failed DESC, spans.service, spans.operation, spans.error
