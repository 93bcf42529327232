-- On PostgreSQL only, after the tables of the example and before their first row; once is enough. Take your own name of the
-- table; of a partitioned one, each partition's.
-- Every row of this table is written when its attempt is claimed and again when it is answered. With room in its page it
-- stays there, and no index need be written again unless it has a column that changes.
ALTER TABLE doku_charge_outcomes SET (fillfactor = 45);
