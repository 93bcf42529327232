-- On PostgreSQL only, after the tables of the example and before their first row; once is enough.
-- Every row of this table is written when its attempt is claimed and again when it is answered. With room in its page it
-- stays there, and the table's index need not be written again.
ALTER TABLE doku_charge_outcomes SET (fillfactor = 45);
