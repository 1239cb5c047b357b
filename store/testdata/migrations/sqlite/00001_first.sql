-- Times are milliseconds since 1970 in UTC. Serials are lower-case hexadecimal.
-- What is hashed is SHA-256.

-- +goose Up

-- One row for each person who ever asked for a certificate. The directory knows
-- who they are: here is only the lock under which quota and names are decided.
CREATE TABLE people (
    id      TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    changes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    person     TEXT    NOT NULL REFERENCES people (id),
    name       TEXT    NOT NULL,
    name_key   TEXT    NOT NULL,
    platform   TEXT    NOT NULL CHECK (platform IN ('ios', 'android', 'windows', 'macos', 'linux')),
    created_at INTEGER NOT NULL,
    removed_at INTEGER
) STRICT;

CREATE INDEX devices_of_person ON devices (person, created_at);

-- The serial is unique over all issuers, which is more than RFC 5280 asks for.
CREATE TABLE certificates (
    serial       TEXT    NOT NULL PRIMARY KEY CHECK (serial <> ''),
    issuer       TEXT    NOT NULL CHECK (issuer IN ('root', 'issuing')),
    kind         TEXT    NOT NULL CHECK (kind IN ('user', 'server')),
    profile      TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('pending', 'issued', 'superseded', 'revoked')),
    person       TEXT    REFERENCES people (id),
    device_id    TEXT    REFERENCES devices (id),
    upn          TEXT    NOT NULL,
    sid          TEXT    NOT NULL,
    mail         TEXT    NOT NULL,
    key_hash     BLOB    NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    form_hash    BLOB    CHECK (length(form_hash) = 32),
    not_before   INTEGER NOT NULL,
    not_after    INTEGER NOT NULL CHECK (not_after > not_before),
    requested_at INTEGER NOT NULL,
    delivered_at INTEGER,
    revoked_at   INTEGER,
    cause        TEXT    CHECK (cause <> ''),
    reason_code  INTEGER,
    listed_in    INTEGER,
    der          BLOB,
    UNIQUE (person, form_hash),
    CHECK (kind = 'server' OR (person IS NOT NULL AND device_id IS NOT NULL)),
    CHECK (status = 'revoked' OR (status = 'pending') = (der IS NULL)),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((status = 'revoked') = (cause IS NOT NULL)),
    CHECK ((status = 'revoked') = (reason_code IS NOT NULL))
) STRICT;

CREATE INDEX certificates_of_device ON certificates (device_id, requested_at);
-- The checks above make these conditions the statuses pending, issued and
-- revoked. They name no value, because SQLite plans a statement anew at each run
-- when its parameters might meet a value in the condition of an index.
CREATE INDEX certificates_pending ON certificates (requested_at) WHERE der IS NULL AND revoked_at IS NULL;
CREATE INDEX certificates_undelivered ON certificates (requested_at)
    WHERE der IS NOT NULL AND delivered_at IS NULL AND revoked_at IS NULL;
CREATE INDEX certificates_revoked ON certificates (issuer, revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_unlisted ON certificates (issuer) WHERE revoked_at IS NOT NULL AND listed_in IS NULL;

-- +goose StatementBegin
CREATE TRIGGER revocation_is_final BEFORE UPDATE ON certificates
WHEN OLD.status = 'revoked' AND NEW.status <> 'revoked'
BEGIN
    SELECT RAISE(ABORT, 'a revoked certificate stays revoked');
END;
-- +goose StatementEnd

CREATE TABLE pickups (
    token_hash      BLOB    NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    serial          TEXT    NOT NULL UNIQUE REFERENCES certificates (serial),
    sealed_key      BLOB,
    sealed_password BLOB,
    expires_at      INTEGER NOT NULL,
    password_until  INTEGER NOT NULL,
    claims          INTEGER NOT NULL CHECK (claims >= 0),
    reads           INTEGER NOT NULL CHECK (reads >= 0),
    last_read       INTEGER
) STRICT;

CREATE INDEX pickups_with_key ON pickups (expires_at) WHERE sealed_key IS NOT NULL;
CREATE INDEX pickups_with_password ON pickups (password_until) WHERE sealed_password IS NOT NULL;

CREATE TABLE ledger (
    seq     INTEGER NOT NULL PRIMARY KEY,
    at      INTEGER NOT NULL,
    action  TEXT    NOT NULL CHECK (action <> ''),
    actor   TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    person  TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    address TEXT    NOT NULL,
    request TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    prev    BLOB    NOT NULL CHECK (length(prev) = 32),
    hash    BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- +goose StatementBegin
CREATE TRIGGER ledger_is_not_rewritten BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;
-- +goose StatementEnd

-- The end of the chain, and the lock under which entries get their numbers.
CREATE TABLE ledger_head (
    id   INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

INSERT INTO ledger_head (id, seq, hash) VALUES (1, 0, zeroblob(32));

-- The last number of each issuer's lists, and the lock of its publishers.
CREATE TABLE crl_numbers (
    issuer TEXT    NOT NULL PRIMARY KEY CHECK (issuer IN ('root', 'issuing')),
    number INTEGER NOT NULL CHECK (number > 0)
) STRICT, WITHOUT ROWID;

-- All lists ever published; only the newest of an issuer has its DER.
CREATE TABLE crls (
    issuer      TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    der         BLOB,
    PRIMARY KEY (issuer, number)
) STRICT;

CREATE TABLE attempts (
    key_hash     BLOB    NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
    tries        INTEGER NOT NULL,
    window_start INTEGER NOT NULL,
    paused_until INTEGER NOT NULL,
    forget_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_to_forget ON attempts (forget_at);

CREATE TABLE sessions (
    id_hash    BLOB    NOT NULL PRIMARY KEY CHECK (length(id_hash) = 32),
    person     TEXT    NOT NULL,
    data       BLOB,
    idle       INTEGER NOT NULL,
    touched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ended      INTEGER NOT NULL CHECK (ended IN (0, 1))
) STRICT;

CREATE INDEX sessions_of_person ON sessions (person);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE accounts (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    login         TEXT    NOT NULL,
    upn           TEXT    NOT NULL,
    sid           TEXT    UNIQUE CHECK (sid <> ''),
    mail          TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    given_name    TEXT    NOT NULL,
    roles         TEXT    NOT NULL,
    disabled      INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    may_enroll    INTEGER NOT NULL CHECK (may_enroll IN (0, 1)),
    password_hash TEXT    NOT NULL
) STRICT;

-- Every name that signs somebody in. Logins and UPNs share one table, so that
-- nobody's UPN is somebody else's login.
CREATE TABLE account_names (
    name_key TEXT NOT NULL PRIMARY KEY CHECK (name_key <> ''),
    account  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX account_names_of_account ON account_names (account);
