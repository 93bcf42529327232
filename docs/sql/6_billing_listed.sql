-- Billing database. The rows that the view lists now for a business date: as many as the ledger says, as long as nobody has
-- added or cancelled a charge since the run. An amount that is no whole number of rupiah counts as 0, as in the ledger.
-- Names as in the shipped profile; a profile may map others (billing.view, billing.columns).
-- Parameter: business_date.
SELECT count(*) AS charges,
       sum(CASE WHEN currency = 'IDR' AND round(amount, 0) = amount AND abs(amount) < 1000000000000000
                THEN amount ELSE 0 END) AS amount
FROM doku_due_charges
WHERE due_date IS NULL
   OR CAST(due_date AS CHAR(10)) NOT LIKE '____-__-__'
   OR CAST(due_date AS CHAR(10)) <= :business_date;
