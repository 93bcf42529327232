-- An insurer's billing database, as an example of the merchant's side: premiums that fall due, the customers' payment
-- tokens, and the two things this package asks for: the view doku_due_charges (read) and the table
-- doku_charge_outcomes (written).
--
-- The same statements run on PostgreSQL, MariaDB and SQLite. On MariaDB create the database with
-- CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, so that charge 'a1' is not charge 'A1'.
-- Yours will differ: keep your own tables and write the view over them.

CREATE TABLE insurer_customers (
    customer_id  VARCHAR(16)  NOT NULL PRIMARY KEY,
    full_name    VARCHAR(100) NOT NULL,
    city         VARCHAR(60)
);

-- What DOKU gave for a card or an account after the customer's first payment. The card number itself is never kept.
CREATE TABLE insurer_payment_tokens (
    token        VARCHAR(128) NOT NULL,
    customer_id  VARCHAR(16)  NOT NULL,
    channel      VARCHAR(30)  NOT NULL,  -- CREDIT_CARD, DIRECT_DEBIT, ...
    network      VARCHAR(20),            -- VISA, MASTERCARD, ...; for cards only
    active       INTEGER      NOT NULL,  -- 1: charge this one; 0: replaced or withdrawn. At most one active per customer.
    PRIMARY KEY (customer_id, token)
);

CREATE TABLE insurer_policies (
    policy_number VARCHAR(16) NOT NULL PRIMARY KEY,
    customer_id   VARCHAR(16) NOT NULL,
    product       VARCHAR(60) NOT NULL,
    lapsed_on     DATE                   -- null while the policy is in force
);

-- One row for each premium that a customer owes: what is collected.
CREATE TABLE insurer_premiums (
    premium_id    VARCHAR(40)   NOT NULL PRIMARY KEY,
    policy_number VARCHAR(16)   NOT NULL,
    amount        DECIMAL(18,2) NOT NULL,  -- rupiah
    currency      VARCHAR(3)    NOT NULL,
    due_date      DATE,
    description   VARCHAR(200)  NOT NULL,
    cancelled_on  DATE                     -- set by the merchant: not to be collected any more
);

-- Premiums that branch offices enter by hand until the nightly import has them. An import that ran late leaves a premium
-- in both tables: equal rows are taken once, different ones are shown to a person and none of them is collected.
CREATE TABLE insurer_branch_premiums (
    entry_id      INTEGER       NOT NULL PRIMARY KEY,
    premium_id    VARCHAR(40)   NOT NULL,
    policy_number VARCHAR(16)   NOT NULL,
    amount        DECIMAL(18,2) NOT NULL,
    currency      VARCHAR(3)    NOT NULL,
    due_date      DATE,
    description   VARCHAR(200)  NOT NULL
);

-- Written by this package only, read by the merchant at will. One row per attempt at collecting a charge.
CREATE TABLE doku_charge_outcomes (
    billing_source   VARCHAR(40)   NOT NULL,  -- id of this database in the profiles
    profile          VARCHAR(40)   NOT NULL,
    charge_id        VARCHAR(200)  NOT NULL,
    attempt_no       INTEGER       NOT NULL,  -- 1, 2, ... for each charge
    invoice_number   VARCHAR(64),             -- what DOKU knows the attempt by
    ledger_id        VARCHAR(36)   NOT NULL,  -- the ledger that claimed the attempt
    batch_name       VARCHAR(100),            -- the batch file that it went in
    status           VARCHAR(12)   NOT NULL,  -- in_flight < unknown < withdrawn < declined < paid < reversed: never back
    response_code    VARCHAR(10),
    response_message VARCHAR(255),
    approval_code    VARCHAR(40),
    amount           DECIMAL(18,2) NOT NULL,  -- major units
    currency         VARCHAR(3)    NOT NULL,
    execute_date     DATE,                    -- the day DOKU was asked to charge
    decided_at       TIMESTAMP     NULL,      -- UTC; null while in flight
    next_attempt_on  DATE,                    -- when it will be tried again, if it will
    updated_at       TIMESTAMP     NULL,      -- UTC; when this row last changed
    CONSTRAINT uq_doku_charge_outcomes UNIQUE (charge_id, attempt_no, billing_source)
);

-- Every charge until it is paid or the merchant withdraws it. A declined one stays: whether and when it is tried again is
-- decided by the profile, and all that was tried is known. Do not filter by date here; the run does.
-- A charge whose customer has no active token is listed too: it is quarantined and shown, instead of being forgotten.
CREATE VIEW doku_due_charges AS
SELECT
    premium.premium_id    AS charge_id,
    policy.customer_id    AS customer_id,
    premium.policy_number AS billing_number,
    token.token           AS token,
    premium.amount        AS amount,
    premium.currency      AS currency,
    premium.due_date      AS due_date,
    token.channel         AS channel,
    premium.description   AS description,
    token.network         AS network
FROM (
    SELECT premium_id, policy_number, amount, currency, due_date, description
    FROM insurer_premiums
    WHERE cancelled_on IS NULL
    UNION ALL
    SELECT premium_id, policy_number, amount, currency, due_date, description
    FROM insurer_branch_premiums
) premium
JOIN insurer_policies policy ON policy.policy_number = premium.policy_number AND policy.lapsed_on IS NULL
LEFT JOIN insurer_payment_tokens token ON token.customer_id = policy.customer_id AND token.active = 1
WHERE NOT EXISTS (
    SELECT 1
    FROM doku_charge_outcomes outcome
    WHERE outcome.charge_id = premium.premium_id AND outcome.status IN ('paid', 'reversed')
);
