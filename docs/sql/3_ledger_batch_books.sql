-- Ledger. What became of the attempts in the batch files of a run, by currency.
-- sent = paid + declined + withdrawn + unknown + awaiting. An attempt has the strongest of its outcomes; a reversed one was
-- paid before and counts as paid.
-- Parameter: run_id.
WITH strongest AS (
    SELECT a.currency, a.amount, coalesce(max(o.strength), 0) AS strength
    FROM batch b
    JOIN attempt a ON a.batch_id = b.batch_id
    LEFT JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE b.run_id = :run_id
    GROUP BY a.invoice_number, a.currency, a.amount
)
SELECT CASE strength WHEN 0 THEN 'awaiting' WHEN 1 THEN 'unknown' WHEN 2 THEN 'withdrawn' WHEN 3 THEN 'declined'
                     ELSE 'paid' END AS term,
       currency, count(*) AS charges, sum(amount) AS amount
FROM strongest
GROUP BY 1, 2
ORDER BY 1, 2;
