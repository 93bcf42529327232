-- Ledger. The rows that a run read and whose charge is not paid by now: the merchant's view should still list them.
-- Parameters: run_id, billing_source.
WITH read_rows AS (
    SELECT a.charge_id, a.amount FROM batch b JOIN attempt a ON a.batch_id = b.batch_id WHERE b.run_id = :run_id
    UNION ALL
    SELECT charge_id, amount FROM quarantined_charge WHERE run_id = :run_id
    UNION ALL
    SELECT charge_id, amount FROM run_charge WHERE run_id = :run_id
)
SELECT count(*) AS charges, sum(amount) AS amount
FROM read_rows r
WHERE NOT EXISTS (
    SELECT 1
    FROM attempt p
    JOIN outcome o ON o.invoice_number = p.invoice_number AND o.status IN ('paid', 'reversed')
    WHERE p.billing_source = :billing_source AND p.charge_id = r.charge_id
);
