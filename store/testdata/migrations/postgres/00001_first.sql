-- Times are milliseconds since 1970 in UTC. Serials are lower-case hexadecimal.
-- What is hashed is SHA-256.

-- +goose Up

-- One row for each person who ever asked for a certificate. The directory knows
-- who they are: here is only the lock under which quota and names are decided.
CREATE TABLE people (
    id      TEXT   NOT NULL PRIMARY KEY CHECK (id <> ''),
    changes BIGINT NOT NULL
);

CREATE TABLE devices (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    person     TEXT    NOT NULL REFERENCES people (id),
    name       TEXT    NOT NULL,
    name_key   TEXT    NOT NULL,
    platform   TEXT    NOT NULL CHECK (platform IN ('ios', 'android', 'windows', 'macos', 'linux')),
    created_at BIGINT  NOT NULL,
    removed_at BIGINT
);

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
    key_hash     BYTEA   NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    form_hash    BYTEA   CHECK (length(form_hash) = 32),
    not_before   BIGINT  NOT NULL,
    not_after    BIGINT  NOT NULL CHECK (not_after > not_before),
    requested_at BIGINT  NOT NULL,
    delivered_at BIGINT,
    revoked_at   BIGINT,
    cause        TEXT    CHECK (cause <> ''),
    reason_code  BIGINT,
    listed_in    BIGINT,
    der          BYTEA,
    UNIQUE (person, form_hash),
    CHECK (kind = 'server' OR (person IS NOT NULL AND device_id IS NOT NULL)),
    CHECK (status = 'revoked' OR (status = 'pending') = (der IS NULL)),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((status = 'revoked') = (cause IS NOT NULL)),
    CHECK ((status = 'revoked') = (reason_code IS NOT NULL))
);

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
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END
$$;
-- +goose StatementEnd

CREATE TRIGGER revocation_is_final BEFORE UPDATE ON certificates
FOR EACH ROW WHEN (OLD.status = 'revoked' AND NEW.status <> 'revoked')
EXECUTE FUNCTION refuse_change('a revoked certificate stays revoked');

CREATE TABLE pickups (
    token_hash      BYTEA   NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    serial          TEXT    NOT NULL UNIQUE REFERENCES certificates (serial),
    sealed_key      BYTEA,
    sealed_password BYTEA,
    expires_at      BIGINT  NOT NULL,
    password_until  BIGINT  NOT NULL,
    claims          BIGINT  NOT NULL CHECK (claims >= 0),
    reads           BIGINT  NOT NULL CHECK (reads >= 0),
    last_read       BIGINT
);

CREATE INDEX pickups_with_key ON pickups (expires_at) WHERE sealed_key IS NOT NULL;
CREATE INDEX pickups_with_password ON pickups (password_until) WHERE sealed_password IS NOT NULL;

CREATE TABLE ledger (
    seq     BIGINT  NOT NULL PRIMARY KEY,
    at      BIGINT  NOT NULL,
    action  TEXT    NOT NULL CHECK (action <> ''),
    actor   TEXT    NOT NULL,
    role    TEXT    NOT NULL,
    person  TEXT    NOT NULL,
    object  TEXT    NOT NULL,
    address TEXT    NOT NULL,
    request TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    prev    BYTEA   NOT NULL CHECK (length(prev) = 32),
    hash    BYTEA   NOT NULL CHECK (length(hash) = 32)
);

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the ledger is append-only');

-- The end of the chain, and the lock under which entries get their numbers.
CREATE TABLE ledger_head (
    id   BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  BIGINT  NOT NULL,
    hash BYTEA   NOT NULL CHECK (length(hash) = 32)
);

INSERT INTO ledger_head (id, seq, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- The last number of each issuer's lists, and the lock of its publishers.
CREATE TABLE crl_numbers (
    issuer TEXT    NOT NULL PRIMARY KEY CHECK (issuer IN ('root', 'issuing')),
    number BIGINT  NOT NULL CHECK (number > 0)
);

-- All lists ever published; only the newest of an issuer has its DER.
CREATE TABLE crls (
    issuer      TEXT    NOT NULL,
    number      BIGINT  NOT NULL,
    this_update BIGINT  NOT NULL,
    next_update BIGINT  NOT NULL,
    entries     BIGINT  NOT NULL,
    der         BYTEA,
    PRIMARY KEY (issuer, number)
);

CREATE TABLE attempts (
    key_hash     BYTEA   NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
    tries        BIGINT  NOT NULL,
    window_start BIGINT  NOT NULL,
    paused_until BIGINT  NOT NULL,
    forget_at    BIGINT  NOT NULL
);

CREATE INDEX attempts_to_forget ON attempts (forget_at);

CREATE TABLE sessions (
    id_hash    BYTEA   NOT NULL PRIMARY KEY CHECK (length(id_hash) = 32),
    person     TEXT    NOT NULL,
    data       BYTEA,
    idle       BIGINT  NOT NULL,
    touched_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    ended      BOOLEAN NOT NULL
);

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
    disabled      BOOLEAN NOT NULL,
    may_enroll    BOOLEAN NOT NULL,
    password_hash TEXT    NOT NULL
);

-- Every name that signs somebody in. Logins and UPNs share one table, so that
-- nobody's UPN is somebody else's login.
CREATE TABLE account_names (
    name_key TEXT NOT NULL PRIMARY KEY CHECK (name_key <> ''),
    account  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
);

CREATE INDEX account_names_of_account ON account_names (account);
