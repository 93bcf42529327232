-- Ledger. The submit runs of a profile for a business date, with the batch files that each made.
-- The books of the day are those of the first run that made a batch (else of the last run): a later run of the same day
-- finds everything in flight or settled.
-- Parameters: profile, business_date.
SELECT r.run_id, r.external_id, r.state, b.file_name, b.state AS batch_state, b.line_count, b.total_amount
FROM run r
LEFT JOIN batch b ON b.run_id = r.run_id
WHERE r.kind = 'submit' AND r.profile = :profile AND r.business_date = :business_date AND r.state <> 'open'
ORDER BY r.run_id, b.sequence;
