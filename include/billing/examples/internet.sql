-- An internet provider's billing database: subscribers, subscriptions, and what they use. Most subscriptions are bills at
-- DOKU, whose amount varies from month to month (Recurring): DOKU asks for it. The others are invoiced here and collected
-- by batch files (Batch Upload) from the token that DOKU keeps for the subscriber.
--
-- This package reads four views (doku_bills, doku_bill_amounts, doku_due_charges, doku_token_customers) and writes three
-- tables (doku_bill_status, doku_charge_outcomes, doku_tokens). The same statements run on PostgreSQL, MariaDB and SQLite.
-- On MariaDB create the database with CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, so that 'a1' is not 'A1'.
-- Yours will differ: keep your own tables and write the views over them.

CREATE TABLE subscribers (
    subscriber_id VARCHAR(16)  NOT NULL PRIMARY KEY,
    full_name     VARCHAR(100) NOT NULL,
    email         VARCHAR(100),
    phone         VARCHAR(30),
    pays_by       VARCHAR(30),                        -- of several cards and wallets, which: CREDIT_CARD, ...; null: any
    card_ends_in  VARCHAR(30)                         -- and of several cards, which: its last four digits
);

CREATE TABLE subscriptions (
    subscription_number VARCHAR(16)   NOT NULL PRIMARY KEY,
    subscriber_id       VARCHAR(16)   NOT NULL,
    plan_name           VARCHAR(60)   NOT NULL,
    monthly_fee         DECIMAL(18,2) NOT NULL,       -- rupiah
    per_gigabyte        DECIMAL(18,2) NOT NULL,       -- rupiah; 0: a flat rate
    collected_by        VARCHAR(10)   NOT NULL,       -- bill: DOKU charges it by itself; batch: by an invoice and a batch file
    charged_on          VARCHAR(200),                 -- of bills: the day of the month, 1..28; or ISO dates
    sign_up             VARCHAR(10),                  -- of bills: link or bulk
    begins_on           DATE          NOT NULL,
    ends_on             DATE,
    cancelled_on        DATE
);

-- What was used until a charge's day. It is read only once it is closed: what is answered to DOKU is never taken back.
CREATE TABLE metered_months (
    subscription_number VARCHAR(16) NOT NULL,
    charged_on          DATE        NOT NULL,         -- the local day on which DOKU charges it
    gigabytes           INTEGER     NOT NULL,
    closed              INTEGER     NOT NULL,         -- 1: final
    PRIMARY KEY (subscription_number, charged_on)
);

-- What subscriptions owe that are collected by batch.
CREATE TABLE invoices (
    invoice_id          VARCHAR(40)   NOT NULL PRIMARY KEY,
    subscription_number VARCHAR(16)   NOT NULL,
    amount              DECIMAL(18,2) NOT NULL,
    currency            VARCHAR(3)    NOT NULL,
    due_date            DATE,
    cancelled_on        DATE
);

-- Written by this package only, read by the provider at will. One row per bill.
CREATE TABLE doku_bill_status (
    billing_source VARCHAR(40)  NOT NULL,  -- id of this database in the profiles
    billing_number VARCHAR(200) NOT NULL,
    profile        VARCHAR(40)  NOT NULL,
    customer_id    VARCHAR(200) NOT NULL,
    state          VARCHAR(12)  NOT NULL,  -- wanted, asked, active, refused, cancelling, cancelled, ended
    reason         VARCHAR(500),           -- why it is refused, or waits for somebody
    checkout_url   TEXT,                   -- where the customer registers a card; pass it on
    checkout_form  TEXT,                   -- the same in DOKU's older interface: the fields of a form to post, as JSON
    masked_card    VARCHAR(30),
    asked_at       TIMESTAMP    NULL,      -- UTC, as all moments here
    registered_at  TIMESTAMP    NULL,
    over_at        TIMESTAMP    NULL,      -- when it was refused, cancelled or ended
    updated_at     TIMESTAMP    NULL,
    CONSTRAINT uq_doku_bill_status UNIQUE (billing_source, billing_number)
);

-- Written by this package only. One row per attempt: of an invoice in a batch file, or of a bill by DOKU itself
-- (charge_id is then <subscription>/<day>). The status of an invoice in a batch file never goes back.
CREATE TABLE doku_charge_outcomes (
    billing_source   VARCHAR(40)   NOT NULL,
    profile          VARCHAR(40)   NOT NULL,
    charge_id        VARCHAR(220)  NOT NULL,
    attempt_no       INTEGER       NOT NULL,  -- 1, 2, ... for each charge
    invoice_number   VARCHAR(64),             -- what DOKU knows the attempt by
    ledger_id        VARCHAR(36)   NOT NULL,  -- the ledger that knows of it
    batch_name       VARCHAR(100),            -- the batch file that it went in; null: none
    status           VARCHAR(12)   NOT NULL,  -- in_flight < unknown < withdrawn < declined < paid < reversed
    response_code    VARCHAR(10),
    response_message VARCHAR(255),
    approval_code    VARCHAR(40),
    amount           DECIMAL(18,2) NOT NULL,  -- major units
    currency         VARCHAR(3)    NOT NULL,
    execute_date     DATE,                    -- the day of the charge
    decided_at       TIMESTAMP     NULL,      -- null while in flight
    next_attempt_on  DATE,                    -- when it will be tried again, if it will
    updated_at       TIMESTAMP     NULL,
    CONSTRAINT uq_doku_charge_outcomes UNIQUE (charge_id, attempt_no, billing_source)
);

-- Written by this package only: what DOKU gave for a subscriber's card or wallet. The card number itself is never kept.
CREATE TABLE doku_tokens (
    billing_source VARCHAR(40)  NOT NULL,
    profile        VARCHAR(40)  NOT NULL,
    customer_id    VARCHAR(200) NOT NULL,
    token          VARCHAR(255) NOT NULL,
    channel        VARCHAR(200),
    masked_card    VARCHAR(30),
    network        VARCHAR(50),
    status         VARCHAR(10)  NOT NULL,  -- active, or lost: DOKU gives it no more
    chosen         INTEGER      NOT NULL,  -- 1: the one to charge, by the profile's rule; at most one per customer
    first_seen     TIMESTAMP    NULL,
    last_seen      TIMESTAMP    NULL,
    lost_at        TIMESTAMP    NULL,
    updated_at     TIMESTAMP    NULL,
    CONSTRAINT uq_doku_tokens UNIQUE (billing_source, profile, customer_id, token)
);

-- Every subscription that was ever a bill: one that is cancelled, or is collected by batch again, is listed as cancelled.
CREATE VIEW doku_bills AS
SELECT
    subscription.subscription_number AS billing_number,
    subscription.subscriber_id       AS customer_id,
    CASE WHEN subscription.per_gigabyte = 0 THEN subscription.monthly_fee END AS amount,  -- null: it varies
    'IDR'                            AS currency,
    CASE WHEN LENGTH(subscription.charged_on) > 2 THEN 'dates' ELSE 'date' END AS schedule,
    subscription.charged_on          AS schedule_on,
    subscription.begins_on           AS starts_on,
    subscription.ends_on             AS ends_on,
    subscription.sign_up             AS registration,
    CASE WHEN subscription.cancelled_on IS NULL AND subscription.collected_by = 'bill'
         THEN 'wanted' ELSE 'cancelled' END AS status,
    subscription.plan_name           AS description,
    subscriber.full_name             AS customer_name,
    subscriber.email                 AS email,
    subscriber.phone                 AS phone
FROM subscriptions subscription
JOIN subscribers subscriber ON subscriber.subscriber_id = subscription.subscriber_id
WHERE subscription.collected_by = 'bill' OR EXISTS (
    SELECT 1 FROM doku_bill_status status WHERE status.billing_number = subscription.subscription_number
);

-- What to charge for a bill on a day, as soon as its month is closed; before, nobody knows.
CREATE VIEW doku_bill_amounts AS
SELECT
    metered.subscription_number AS billing_number,
    metered.charged_on          AS period,
    subscription.monthly_fee + metered.gigabytes * subscription.per_gigabyte AS amount,
    'IDR'                       AS currency
FROM metered_months metered
JOIN subscriptions subscription ON subscription.subscription_number = metered.subscription_number
WHERE metered.closed = 1;

-- The subscribers whose tokens are needed, and which one they wish to be charged.
CREATE VIEW doku_token_customers AS
SELECT
    subscriber.subscriber_id AS customer_id,
    subscriber.pays_by       AS channel,
    subscriber.card_ends_in  AS masked_card
FROM subscribers subscriber
WHERE EXISTS (
    SELECT 1 FROM subscriptions subscription
    WHERE subscription.subscriber_id = subscriber.subscriber_id AND subscription.collected_by = 'batch'
      AND subscription.cancelled_on IS NULL
);

-- Every invoice until it is paid or cancelled, with the one token that is chosen. One without a token is listed too: it is
-- held or quarantined and shown, with the reason, instead of being forgotten.
CREATE VIEW doku_due_charges AS
SELECT
    invoice.invoice_id               AS charge_id,
    subscription.subscriber_id       AS customer_id,
    invoice.subscription_number      AS billing_number,
    token.token                      AS token,
    invoice.amount                   AS amount,
    invoice.currency                 AS currency,
    invoice.due_date                 AS due_date,
    token.channel                    AS channel,
    subscription.plan_name           AS description,
    token.network                    AS network
FROM invoices invoice
JOIN subscriptions subscription ON subscription.subscription_number = invoice.subscription_number
LEFT JOIN doku_tokens token
    ON token.customer_id = subscription.subscriber_id AND token.profile = 'internet' AND token.chosen = 1
WHERE invoice.cancelled_on IS NULL
  AND NOT EXISTS (
    SELECT 1
    FROM doku_charge_outcomes outcome
    WHERE outcome.charge_id = invoice.invoice_id AND outcome.status IN ('paid', 'reversed')
);
