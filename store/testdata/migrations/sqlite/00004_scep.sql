-- Keys that devices make themselves: the challenges that let them enrol, and the
-- keys of the agent that talks to them.

-- +goose Up

-- Rows outlive their time a little, so that a replay is told from a guess.
CREATE TABLE challenges (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    secret_hash BLOB    NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    token_hash  BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    device_id   TEXT    NOT NULL REFERENCES devices (id),
    names_hash  BLOB    NOT NULL CHECK (length(names_hash) = 32),
    made_at     INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL CHECK (expires_at > made_at),
    used_at     INTEGER,
    serial      TEXT    UNIQUE REFERENCES certificates (serial),
    CHECK ((used_at IS NULL) = (serial IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX challenges_of_device ON challenges (device_id);
CREATE INDEX challenges_by_end ON challenges (expires_at);

-- The newest is used; older ones answer who still encrypts to them.
CREATE TABLE agents (
    serial     TEXT    NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    sealed_key BLOB    NOT NULL,
    not_after  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX agents_by_end ON agents (not_after);
