-- Revocations as a row that is never rewritten, lists that say how far in it they
-- go, and turns in which lists are built.

-- +goose Up

-- Every revocation, under the number of the ledger entry that tells of it: the
-- ledger gives its numbers in the order of commits, so whoever read up to one has
-- missed none. Those from before this table have negative numbers. A serial need
-- not be in certificates: it may have been issued after the copy that was restored.
CREATE TABLE revocations (
    issuer      TEXT    NOT NULL CHECK (issuer IN ('root', 'issuing')),
    seq         BIGINT  NOT NULL CHECK (seq <> 0),
    serial      TEXT    NOT NULL PRIMARY KEY CHECK (serial <> ''),
    revoked_at  BIGINT  NOT NULL,
    reason_code BIGINT  NOT NULL,
    not_after   BIGINT  NOT NULL,
    UNIQUE (issuer, seq)
);

-- In the order of the lists that named them first, so that each list has an end.
CREATE TABLE numbered AS
    SELECT issuer, serial, revoked_at, reason_code, not_after, listed_in,
        row_number() OVER (PARTITION BY issuer ORDER BY listed_in IS NULL, listed_in, revoked_at, serial)
        - count(*) OVER (PARTITION BY issuer) - 1 AS seq
    FROM certificates WHERE revoked_at IS NOT NULL;
INSERT INTO revocations (issuer, seq, serial, revoked_at, reason_code, not_after)
    SELECT issuer, seq, serial, revoked_at, reason_code, not_after FROM numbered ORDER BY serial;

CREATE TRIGGER revocations_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON revocations
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('revocations are append-only');

CREATE TRIGGER revoked_certificates_are_kept BEFORE DELETE ON certificates
FOR EACH ROW WHEN (OLD.status = 'revoked')
EXECUTE FUNCTION refuse_change('a revoked certificate is not removed');

CREATE TRIGGER certificates_are_kept BEFORE TRUNCATE ON certificates
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a revoked certificate is not removed');

-- All lists ever published; only the newest complete and the newest delta list of an
-- issuer have their DER. A list holds what was revoked up to the entry of the ledger
-- it reaches through; until_at is when it and all complete lists before it have run out.
CREATE TABLE published_crls (
    issuer       TEXT    NOT NULL,
    delta        BOOLEAN NOT NULL,
    number       BIGINT  NOT NULL,
    base         BIGINT  NOT NULL CHECK (base >= 0 AND base < number),
    through      BIGINT  NOT NULL,
    this_update  BIGINT  NOT NULL,
    next_update  BIGINT  NOT NULL,
    published_at BIGINT  NOT NULL,
    until_at     BIGINT  NOT NULL,
    entries      BIGINT  NOT NULL,
    der          BYTEA,
    PRIMARY KEY (issuer, delta, number),
    CHECK ((base > 0) = delta)
);

-- Lists were dated five minutes before they were published.
INSERT INTO published_crls (issuer, delta, number, base, through, this_update, next_update, published_at, until_at, entries, der)
    WITH ends AS (
        SELECT issuer, listed_in AS number, max(seq) AS through, CAST(NULL AS BIGINT) AS next_update, 0 AS list
            FROM numbered WHERE listed_in IS NOT NULL GROUP BY issuer, listed_in
        UNION ALL SELECT issuer, number, NULL, next_update, 1 FROM crls
    ), reached AS (
        SELECT issuer, number, list, max(through) OVER before AS through, max(next_update) OVER before AS until_at FROM ends
            WINDOW before AS (PARTITION BY issuer ORDER BY number, list)
    )
    SELECT l.issuer, FALSE, l.number, 0, coalesce(r.through, (SELECT min(seq) - 1 FROM revocations), -1), l.this_update, l.next_update,
        l.this_update + 300000, r.until_at, l.entries, l.der
    FROM crls l JOIN reached r ON r.issuer = l.issuer AND r.number = l.number AND r.list = 1;

DROP TABLE numbered;
DROP TABLE crls;
ALTER TABLE published_crls RENAME TO crls;
ALTER INDEX published_crls_pkey RENAME TO crls_pkey;
-- The first list that names a revocation, and the last that lacks it.
CREATE INDEX crls_by_reach ON crls (issuer, through, number);

-- Whose turn it is to build the next list, and until when.
ALTER TABLE crl_numbers ADD COLUMN builder TEXT NOT NULL DEFAULT '';
ALTER TABLE crl_numbers ADD COLUMN lease_until BIGINT NOT NULL DEFAULT 0;

DROP INDEX certificates_unlisted;
DROP INDEX certificates_revoked;
ALTER TABLE certificates DROP COLUMN listed_in;
