-- The ledger's replicas, seals and readers, and the ways to find an entry.

-- +goose Up

-- Which replica wrote an entry. Entries from before have none, and hash without.
ALTER TABLE ledger ADD COLUMN node TEXT NOT NULL DEFAULT '';

-- Each way ends with the number, so that the newest of what is looked for come
-- first without sorting. Beginnings are enough, and stay small when what somebody
-- typed is long: an index takes no entry above a third of a page.
CREATE INDEX ledger_by_time ON ledger (at, seq);
CREATE INDEX ledger_by_action ON ledger (action, seq);
CREATE INDEX ledger_by_person ON ledger (substr(person, 1, 64), seq);
CREATE INDEX ledger_by_object ON ledger (substr(object, 1, 64), seq);
CREATE INDEX ledger_by_actor ON ledger (substr(actor, 1, 64), seq);
CREATE INDEX ledger_by_request ON ledger (substr(request, 1, 64), seq);

-- Signatures over the end of the chain.
CREATE TABLE ledger_seals (
    seq       BIGINT  NOT NULL PRIMARY KEY CHECK (seq > 0),
    hash      BYTEA   NOT NULL CHECK (length(hash) = 32),
    at        BIGINT  NOT NULL,
    node      TEXT    NOT NULL,
    key       TEXT    NOT NULL CHECK (key <> ''),
    signature BYTEA   NOT NULL
);

CREATE TRIGGER ledger_seals_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('seals are append-only');

-- Keys that seal. Old ones stay: their certificates tell whose seals those were.
CREATE TABLE ledger_keys (
    serial     TEXT    NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    sealed_key BYTEA   NOT NULL,
    not_after  BIGINT  NOT NULL
);

-- Who reads the ledger in order, how far they came, and which replica does it.
CREATE TABLE ledger_readers (
    name          TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    seq           BIGINT  NOT NULL,
    holder        TEXT    NOT NULL,
    held_until    BIGINT  NOT NULL,
    failure       TEXT    NOT NULL,
    failing_since BIGINT,
    CHECK ((failure = '') = (failing_since IS NULL))
);

-- What verifying has come to.
CREATE TABLE ledger_check (
    id           BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    seq          BIGINT  NOT NULL,
    hash         BYTEA   NOT NULL CHECK (length(hash) = 32),
    checked_at   BIGINT,
    full_at      BIGINT,
    fault        TEXT    NOT NULL,
    fault_seq    BIGINT  NOT NULL,
    fault_until  BIGINT  NOT NULL,
    broken_since BIGINT,
    CHECK ((fault = '') = (broken_since IS NULL))
);

INSERT INTO ledger_check (id, seq, hash, fault, fault_seq, fault_until)
    VALUES (1, 0, decode(repeat('00', 32), 'hex'), '', 0, 0);
