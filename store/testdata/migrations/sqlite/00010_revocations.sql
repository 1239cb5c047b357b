-- Revocations as a row that is never rewritten, lists that say how far in it they
-- go, and turns in which lists are built.

-- +goose Up

-- Every revocation, under the number of the ledger entry that tells of it: the
-- ledger gives its numbers in the order of commits, so whoever read up to one has
-- missed none. Those from before this table have negative numbers. A serial need
-- not be in certificates: it may have been issued after the copy that was restored.
-- The rows lie in the order of serials, in which lists name them.
CREATE TABLE revocations (
    issuer      TEXT    NOT NULL CHECK (issuer IN ('root', 'issuing')),
    seq         INTEGER NOT NULL CHECK (seq <> 0),
    serial      TEXT    NOT NULL PRIMARY KEY CHECK (serial <> ''),
    revoked_at  INTEGER NOT NULL,
    reason_code INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    UNIQUE (issuer, seq)
) STRICT, WITHOUT ROWID;

-- In the order of the lists that named them first, so that each list has an end. The
-- certificates are read once, from one end to the other: reached by an index, each
-- would be a place of its own on the disk.
CREATE TABLE numbered AS
    SELECT issuer, serial, revoked_at, reason_code, not_after, listed_in,
        row_number() OVER (PARTITION BY issuer ORDER BY listed_in IS NULL, listed_in, revoked_at, serial)
        - count(*) OVER (PARTITION BY issuer) - 1 AS seq
    FROM certificates WHERE +revoked_at IS NOT NULL;
INSERT INTO revocations (issuer, seq, serial, revoked_at, reason_code, not_after)
    SELECT issuer, seq, serial, revoked_at, reason_code, not_after FROM numbered ORDER BY serial;

-- +goose StatementBegin
CREATE TRIGGER revocations_are_not_rewritten BEFORE UPDATE ON revocations
BEGIN
    SELECT RAISE(ABORT, 'revocations are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER revocations_are_not_removed BEFORE DELETE ON revocations
BEGIN
    SELECT RAISE(ABORT, 'revocations are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER revoked_certificates_are_kept BEFORE DELETE ON certificates
WHEN OLD.status = 'revoked'
BEGIN
    SELECT RAISE(ABORT, 'a revoked certificate is not removed');
END;
-- +goose StatementEnd

-- All lists ever published; only the newest complete and the newest delta list of an
-- issuer have their DER. A list holds what was revoked up to the entry of the ledger
-- it reaches through; until_at is when it and all complete lists before it have run out.
CREATE TABLE published_crls (
    issuer       TEXT    NOT NULL,
    delta        INTEGER NOT NULL CHECK (delta IN (0, 1)),
    number       INTEGER NOT NULL,
    base         INTEGER NOT NULL CHECK (base >= 0 AND base < number),
    through      INTEGER NOT NULL,
    this_update  INTEGER NOT NULL,
    next_update  INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    until_at     INTEGER NOT NULL,
    entries      INTEGER NOT NULL,
    der          BLOB,
    PRIMARY KEY (issuer, delta, number),
    CHECK ((base > 0) = (delta = 1))
) STRICT;

-- Lists were dated five minutes before they were published.
INSERT INTO published_crls (issuer, delta, number, base, through, this_update, next_update, published_at, until_at, entries, der)
    WITH ends AS (
        SELECT issuer, listed_in AS number, max(seq) AS through, NULL AS next_update, 0 AS list
            FROM numbered WHERE listed_in IS NOT NULL GROUP BY issuer, listed_in
        UNION ALL SELECT issuer, number, NULL, next_update, 1 FROM crls
    ), reached AS (
        SELECT issuer, number, list, max(through) OVER before AS through, max(next_update) OVER before AS until_at FROM ends
            WINDOW before AS (PARTITION BY issuer ORDER BY number, list)
    )
    SELECT l.issuer, 0, l.number, 0, coalesce(r.through, (SELECT min(seq) - 1 FROM revocations), -1), l.this_update, l.next_update,
        l.this_update + 300000, r.until_at, l.entries, l.der
    FROM crls l JOIN reached r ON r.issuer = l.issuer AND r.number = l.number AND r.list = 1;

DROP TABLE numbered;
DROP TABLE crls;
ALTER TABLE published_crls RENAME TO crls;
-- The first list that names a revocation, and the last that lacks it.
CREATE INDEX crls_by_reach ON crls (issuer, through, number);

-- Whose turn it is to build the next list, and until when.
ALTER TABLE crl_numbers ADD COLUMN builder TEXT NOT NULL DEFAULT '';
ALTER TABLE crl_numbers ADD COLUMN lease_until INTEGER NOT NULL DEFAULT 0;

DROP INDEX certificates_unlisted;
DROP INDEX certificates_revoked;
ALTER TABLE certificates DROP COLUMN listed_in;
