-- The way from a desktop to a phone.

-- +goose Up

-- A code is kept as its argon2id hash, and is good while the session that made it
-- is. A closed row stays for the desktop to say what became of it.
CREATE TABLE handoffs (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    code_hash  BLOB    NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    session    BLOB    NOT NULL CHECK (length(session) = 32),
    person     TEXT    NOT NULL CHECK (person <> ''),
    masked     TEXT    NOT NULL,
    number     INTEGER NOT NULL,
    choices    TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('open', 'redeemed', 'burnt', 'ended')),
    expires_at INTEGER NOT NULL,
    closed_at  INTEGER,
    CHECK ((state = 'open') = (closed_at IS NULL))
) STRICT;

CREATE UNIQUE INDEX handoffs_open ON handoffs (person) WHERE closed_at IS NULL;
CREATE INDEX handoffs_by_end ON handoffs (expires_at);
