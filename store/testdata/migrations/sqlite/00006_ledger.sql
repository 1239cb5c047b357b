-- The ledger's replicas, seals and readers, and the ways to find an entry.

-- +goose Up

-- Which replica wrote an entry. Entries from before have none, and hash without.
ALTER TABLE ledger ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- Each way ends with the number, so that the newest of what is looked for come
-- first without sorting. Beginnings are enough, and stay small when what somebody
-- typed is long.
CREATE INDEX ledger_by_time ON ledger (at, seq);
CREATE INDEX ledger_by_action ON ledger (action, seq);
CREATE INDEX ledger_by_person ON ledger (substr(person, 1, 64), seq);
CREATE INDEX ledger_by_object ON ledger (substr(object, 1, 64), seq);
CREATE INDEX ledger_by_actor ON ledger (substr(actor, 1, 64), seq);
CREATE INDEX ledger_by_request ON ledger (substr(request, 1, 64), seq);

-- Signatures over the end of the chain.
CREATE TABLE ledger_seals (
    seq       INTEGER NOT NULL PRIMARY KEY CHECK (seq > 0),
    hash      BLOB    NOT NULL CHECK (length(hash) = 32),
    at        INTEGER NOT NULL,
    node      TEXT    NOT NULL,
    key       TEXT    NOT NULL CHECK (key <> ''),
    signature BLOB    NOT NULL
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER ledger_seals_are_not_rewritten BEFORE UPDATE ON ledger_seals
BEGIN
    SELECT RAISE(ABORT, 'seals are append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER ledger_seals_are_not_removed BEFORE DELETE ON ledger_seals
BEGIN
    SELECT RAISE(ABORT, 'seals are append-only');
END;
-- +goose StatementEnd

-- Keys that seal. Old ones stay: their certificates tell whose seals those were.
CREATE TABLE ledger_keys (
    serial     TEXT    NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    sealed_key BLOB    NOT NULL,
    not_after  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who reads the ledger in order, how far they came, and which replica does it.
CREATE TABLE ledger_readers (
    name          TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    seq           INTEGER NOT NULL,
    holder        TEXT    NOT NULL,
    held_until    INTEGER NOT NULL,
    failure       TEXT    NOT NULL,
    failing_since INTEGER,
    CHECK ((failure = '') = (failing_since IS NULL))
) STRICT, WITHOUT ROWID;

-- What verifying has come to.
CREATE TABLE ledger_check (
    id           INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq          INTEGER NOT NULL,
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    checked_at   INTEGER,
    full_at      INTEGER,
    fault        TEXT    NOT NULL,
    fault_seq    INTEGER NOT NULL,
    fault_until  INTEGER NOT NULL,
    broken_since INTEGER,
    CHECK ((fault = '') = (broken_since IS NULL))
) STRICT;

INSERT INTO ledger_check (id, seq, hash, fault, fault_seq, fault_until) VALUES (1, 0, zeroblob(32), '', 0, 0);
