-- Mail: what is to be sent, and in which language.

-- +goose Up

-- Up to which entry of the ledger letters are written, and how sending goes. What
-- happened before mail existed is nobody's news.
CREATE TABLE outbox (
    id            INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq           INTEGER NOT NULL,
    sent_at       INTEGER,
    failing_since INTEGER,
    failure       TEXT   NOT NULL
) STRICT;

INSERT INTO outbox (id, seq, failure) SELECT 1, seq, '' FROM ledger_head WHERE id = 1;

-- A letter is written once: about says what it is about. Once closed it holds no
-- facts, and no address unless it was given up.
CREATE TABLE letters (
    id            TEXT   NOT NULL PRIMARY KEY CHECK (id <> ''),
    about         TEXT   NOT NULL UNIQUE CHECK (about <> ''),
    kind          TEXT   NOT NULL CHECK (kind <> ''),
    person        TEXT   NOT NULL,
    recipient     TEXT,
    language      TEXT   NOT NULL,
    facts         TEXT,
    made_at       INTEGER NOT NULL,
    tries         INTEGER NOT NULL CHECK (tries >= 0),
    next_at       INTEGER NOT NULL,
    claimed_until INTEGER,
    closed_at     INTEGER,
    failure       TEXT   CHECK (failure <> ''),
    given_up      INTEGER CHECK (given_up = 1),
    CHECK ((closed_at IS NULL) = (facts IS NOT NULL)),
    CHECK (closed_at IS NOT NULL OR recipient IS NOT NULL),
    CHECK (given_up IS NULL OR (closed_at IS NOT NULL AND failure IS NOT NULL))
) STRICT;

CREATE INDEX letters_waiting ON letters (next_at) WHERE closed_at IS NULL;
CREATE INDEX letters_by_end ON letters (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX letters_given_up ON letters (closed_at) WHERE given_up IS NOT NULL;

-- What ends soon, in the terms of the sweep that writes reminders.
CREATE INDEX certificates_to_remind ON certificates (not_after) WHERE der IS NOT NULL AND revoked_at IS NULL;

-- The language somebody last read the pages in.
CREATE TABLE languages (
    person   TEXT NOT NULL PRIMARY KEY CHECK (person <> ''),
    language TEXT NOT NULL CHECK (language <> '')
) STRICT;
