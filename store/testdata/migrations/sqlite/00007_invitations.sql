-- The right to enrol once, given by the helpdesk and redeemed with a code.

-- +goose Up

-- A code is kept as its argon2id hash. A closed row stays for a while, to say when
-- its code was used. The device may be one that never comes, so it is no reference.
CREATE TABLE invitations (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    code_hash  BLOB    NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    person     TEXT    NOT NULL REFERENCES people (id),
    made_by    TEXT    NOT NULL CHECK (made_by <> ''),
    made_role  TEXT    NOT NULL CHECK (made_role <> ''),
    made_at    INTEGER NOT NULL,
    checked    TEXT    NOT NULL CHECK (checked <> ''),
    note       TEXT    NOT NULL,
    purpose    TEXT    NOT NULL CHECK (purpose <> ''),
    device_id  TEXT    NOT NULL,
    alone      INTEGER NOT NULL CHECK (alone IN (0, 1)),
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'open', 'redeemed', 'ended')),
    expires_at INTEGER NOT NULL CHECK (expires_at > made_at),
    approver   TEXT    CHECK (approver <> made_by AND approver <> person),
    closed_at  INTEGER,
    serial     TEXT    UNIQUE REFERENCES certificates (serial),
    CHECK (made_by <> person),
    CHECK ((state IN ('waiting', 'open')) = (closed_at IS NULL)),
    CHECK ((state = 'redeemed') = (serial IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- One at a time for each person.
CREATE UNIQUE INDEX invitations_open ON invitations (person) WHERE closed_at IS NULL;
CREATE INDEX invitations_by_end ON invitations (expires_at);

-- The invitation that a device's challenge uses up; no reference, see above.
ALTER TABLE challenges ADD COLUMN invitation TEXT;
