-- A charity's register of donors and pledges, for a charity that has no billing system of its own: these tables are its
-- billing database. A pledge becomes a bill at DOKU, which charges it on its own schedule (Recurring, fixed amount).
--
-- This package reads the view doku_bills and writes two tables: doku_bill_status (what became of each bill) and
-- doku_charge_outcomes (what became of each charge). The same statements run on PostgreSQL, MariaDB and SQLite. On MariaDB
-- create the database with CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, so that pledge 'a1' is not pledge 'A1'.

CREATE TABLE donors (
    donor_id   VARCHAR(16)  NOT NULL PRIMARY KEY,
    full_name  VARCHAR(100) NOT NULL,
    email      VARCHAR(100),
    phone      VARCHAR(30)
);

-- What somebody promises to give. To change an amount or a day, change the row: DOKU is told of it. To end a pledge, fill
-- given_up_on: the row stays.
CREATE TABLE pledges (
    pledge_number VARCHAR(16)   NOT NULL PRIMARY KEY,  -- the billing number at DOKU; never used again for another donor
    donor_id      VARCHAR(16)   NOT NULL,
    purpose       VARCHAR(60)   NOT NULL,
    amount        DECIMAL(18,2) NOT NULL,              -- rupiah, each time
    currency      VARCHAR(3)    NOT NULL,
    frequency     VARCHAR(10)   NOT NULL,              -- monthly, weekly or dated
    days          VARCHAR(200)  NOT NULL,              -- monthly: 1..28, as 1,15; weekly: MON..SUN; dated: ISO dates
    months        VARCHAR(60),                         -- JAN,JUL; null: every month
    begins_on     DATE          NOT NULL,
    ends_on       DATE,                                -- null: until it is given up
    given_up_on   DATE,
    sign_up       VARCHAR(10)   NOT NULL               -- link: the donor gets a link; bulk: signed on paper, sent by file
);

-- Written by this package only, read by the charity at will. One row per bill.
CREATE TABLE doku_bill_status (
    billing_source VARCHAR(40)  NOT NULL,  -- id of this database in the profiles
    billing_number VARCHAR(200) NOT NULL,
    profile        VARCHAR(40)  NOT NULL,
    customer_id    VARCHAR(200) NOT NULL,
    state          VARCHAR(12)  NOT NULL,  -- wanted, asked, active, refused, cancelling, cancelled, ended
    reason         VARCHAR(500),           -- why it is refused, or waits for somebody
    checkout_url   TEXT,                   -- where the donor registers a card; pass it on
    checkout_form  TEXT,                   -- the same in DOKU's older interface: the fields of a form to post, as JSON
    masked_card    VARCHAR(30),
    asked_at       TIMESTAMP    NULL,      -- UTC, as all moments here
    registered_at  TIMESTAMP    NULL,
    over_at        TIMESTAMP    NULL,      -- when it was refused, cancelled or ended
    updated_at     TIMESTAMP    NULL,
    CONSTRAINT uq_doku_bill_status UNIQUE (billing_source, billing_number)
);

-- Written by this package only. One row per charge that DOKU made, or tried to: charge_id is <pledge>/<day>.
CREATE TABLE doku_charge_outcomes (
    billing_source   VARCHAR(40)   NOT NULL,
    profile          VARCHAR(40)   NOT NULL,
    charge_id        VARCHAR(220)  NOT NULL,
    attempt_no       INTEGER       NOT NULL,  -- 1, 2, ... for each charge
    invoice_number   VARCHAR(64),             -- DOKU's reference of the transaction
    ledger_id        VARCHAR(36)   NOT NULL,
    batch_name       VARCHAR(100),            -- null: no batch file
    status           VARCHAR(12)   NOT NULL,  -- paid, declined, unknown, reversed
    response_code    VARCHAR(10),
    response_message VARCHAR(255),
    approval_code    VARCHAR(40),
    amount           DECIMAL(18,2) NOT NULL,  -- major units
    currency         VARCHAR(3)    NOT NULL,
    execute_date     DATE,                    -- the local day of the charge
    decided_at       TIMESTAMP     NULL,
    next_attempt_on  DATE,
    updated_at       TIMESTAMP     NULL,
    CONSTRAINT uq_doku_charge_outcomes UNIQUE (charge_id, attempt_no, billing_source)
);

-- Every pledge that was ever made: one that is given up is listed as cancelled. A row that disappears changes nothing.
CREATE VIEW doku_bills AS
SELECT
    pledge.pledge_number AS billing_number,
    pledge.donor_id      AS customer_id,
    pledge.amount        AS amount,
    pledge.currency      AS currency,
    CASE pledge.frequency WHEN 'weekly' THEN 'day' WHEN 'dated' THEN 'dates' ELSE 'date' END AS schedule,
    pledge.days          AS schedule_on,
    pledge.months        AS months,
    pledge.begins_on     AS starts_on,
    pledge.ends_on       AS ends_on,
    pledge.sign_up       AS registration,
    CASE WHEN pledge.given_up_on IS NULL THEN 'wanted' ELSE 'cancelled' END AS status,
    pledge.purpose       AS description,
    donor.full_name      AS customer_name,
    donor.email          AS email,
    donor.phone          AS phone
FROM pledges pledge
JOIN donors donor ON donor.donor_id = pledge.donor_id;

-- For the charity: what was given, for whom a thank-you letter is due, and whose pledge does not come in. Of a charge id
-- the last eleven characters are a slash and the day.
CREATE VIEW donations_received AS
SELECT
    pledge.donor_id           AS donor_id,
    pledge.pledge_number      AS pledge_number,
    pledge.purpose            AS purpose,
    outcome.execute_date      AS given_on,
    outcome.amount            AS amount,
    outcome.currency          AS currency,
    outcome.status            AS status,
    outcome.response_message  AS bank_says
FROM doku_charge_outcomes outcome
JOIN pledges pledge ON pledge.pledge_number = SUBSTR(outcome.charge_id, 1, LENGTH(outcome.charge_id) - 11);
