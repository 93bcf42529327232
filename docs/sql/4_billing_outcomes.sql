-- Billing database. What the merchant was told of one batch file (amounts in major units): the same figures as the ledger's
-- for that file, `in_flight` standing for `awaiting`.
-- Parameter: batch_name.
SELECT status, currency, count(*) AS charges, sum(amount) AS amount
FROM doku_charge_outcomes
WHERE batch_name = :batch_name
GROUP BY status, currency
ORDER BY status, currency;
