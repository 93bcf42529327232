-- Ledger. What became of the rows that a run read, by currency (amounts in smallest units; rupiah has none smaller).
-- rows = due + settled; due = sent + quarantined + held + deferred + in_flight. `rows` and `due` were counted on the way,
-- before anything was decided; every other term is counted here from the record that each row left behind.
-- Parameter: run_id.
WITH fate AS (
    SELECT a.currency, a.amount,
           CASE WHEN b.state IN ('claimed', 'sealed', 'delivering') THEN 'in_flight' ELSE 'sent' END AS term
    FROM batch b JOIN attempt a ON a.batch_id = b.batch_id
    WHERE b.run_id = :run_id
    UNION ALL
    SELECT coalesce(currency, '?'), amount, 'quarantined' FROM quarantined_charge WHERE run_id = :run_id
    UNION ALL
    SELECT coalesce(currency, '?'), amount, fate FROM run_charge WHERE run_id = :run_id
)
SELECT term, currency, count(*) AS charges, sum(amount) AS amount FROM fate GROUP BY term, currency
UNION ALL
SELECT term, currency, count, amount FROM run_balance
WHERE run_id = :run_id AND batch_id = 0 AND term IN ('rows', 'due')
ORDER BY 1, 2;
