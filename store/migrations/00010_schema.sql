-- The first schema: tables and indexes of both engines. Triggers are in the file of
-- each engine.
--
-- Times are milliseconds since 1970 in UTC. Serials are lower-case hexadecimal.
-- Hashes are SHA-256.

-- One row for each person who ever asked for a certificate: the lock under which
-- quota and device names are decided, and the names the directory gave when they
-- last got one.
CREATE TABLE people (
    id      TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    changes {{int}} NOT NULL,
    name    TEXT    NOT NULL DEFAULT '',
    upn     TEXT    NOT NULL DEFAULT ''
){{strictWithoutRowID}};

-- The words of names, and whole UPNs, folded.
CREATE TABLE person_words (
    word   {{orderedText}} NOT NULL CHECK (word <> ''),
    person TEXT NOT NULL REFERENCES people (id),
    PRIMARY KEY (word, person)
){{strictWithoutRowID}};

CREATE INDEX words_of_person ON person_words (person, word);

CREATE TABLE devices (
    id         TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    person     TEXT    NOT NULL REFERENCES people (id),
    name       TEXT    NOT NULL,
    name_key   {{orderedText}} NOT NULL,
    platform   TEXT    NOT NULL CHECK (platform IN ('ios', 'android', 'windows', 'macos', 'linux')),
    created_at {{int}} NOT NULL,
    removed_at {{int}},
    blocked_at {{int}}
){{strict}};

CREATE INDEX devices_of_person ON devices (person, created_at);
CREATE INDEX devices_by_name ON devices (name_key, id);
CREATE INDEX devices_by_creation ON devices (created_at, id);

-- The serial is unique over all issuers, which is more than RFC 5280 requires.
-- ends_at is when the portal ends a certificate that a renewal superseded, and
-- superseded_by the serial of the newer one; a revoked one keeps both.
CREATE TABLE certificates (
    serial        TEXT      NOT NULL PRIMARY KEY CHECK (serial <> ''),
    issuer        TEXT      NOT NULL CHECK (issuer IN ('root', 'issuing')),
    kind          TEXT      NOT NULL CHECK (kind IN ('user', 'server')),
    profile       TEXT      NOT NULL,
    status        TEXT      NOT NULL CHECK (status IN ('pending', 'issued', 'superseded', 'revoked')),
    person        TEXT      REFERENCES people (id),
    device_id     TEXT      REFERENCES devices (id),
    upn           TEXT      NOT NULL,
    sid           TEXT      NOT NULL,
    mail          TEXT      NOT NULL,
    key_hash      {{bytes}} NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    form_hash     {{bytes}} CHECK (length(form_hash) = 32),
    not_before    {{int}}   NOT NULL,
    not_after     {{int}}   NOT NULL CHECK (not_after > not_before),
    requested_at  {{int}}   NOT NULL,
    delivered_at  {{int}},
    revoked_at    {{int}},
    cause         TEXT      CHECK (cause <> ''),
    reason_code   {{int}},
    der           {{bytes}},
    ends_at       {{int}},
    superseded_by TEXT      REFERENCES certificates (serial),
    UNIQUE (person, form_hash),
    CHECK (kind = 'server' OR (person IS NOT NULL AND device_id IS NOT NULL)),
    CHECK (status = 'revoked' OR (status = 'pending') = (der IS NULL)),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((status = 'revoked') = (cause IS NOT NULL)),
    CHECK ((status = 'revoked') = (reason_code IS NOT NULL))
){{strict}};

-- The checks above make the conditions of these indexes those of the statuses
-- pending, issued and revoked. They name no value, because SQLite plans a statement
-- anew at each run when its parameters might match a value in the condition of an
-- index.
CREATE INDEX certificates_of_device ON certificates (device_id, requested_at);
CREATE INDEX certificates_pending ON certificates (requested_at) WHERE der IS NULL AND revoked_at IS NULL;
CREATE INDEX certificates_undelivered ON certificates (requested_at)
    WHERE der IS NOT NULL AND delivered_at IS NULL AND revoked_at IS NULL;
CREATE INDEX certificates_working ON certificates (person, not_after, kind)
    WHERE der IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX certificates_to_remind ON certificates (not_after) WHERE der IS NOT NULL AND revoked_at IS NULL;
-- Without those whose own end comes no later: they need no action.
CREATE INDEX certificates_overdue ON certificates (ends_at)
    WHERE ends_at IS NOT NULL AND revoked_at IS NULL AND not_after > ends_at;
CREATE INDEX certificates_by_successor ON certificates (superseded_by) WHERE superseded_by IS NOT NULL;

-- A search walks along one of these and checks its other conditions row by row.
CREATE INDEX certificates_by_request ON certificates (requested_at, serial);
CREATE INDEX certificates_of_person ON certificates (person, requested_at, serial);
CREATE INDEX certificates_by_end ON certificates (not_after, serial) WHERE der IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX certificates_by_revocation ON certificates (revoked_at, serial) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_replaced ON certificates (requested_at, serial) WHERE status = 'superseded';
CREATE INDEX certificates_being_made ON certificates (requested_at, serial) WHERE der IS NULL AND revoked_at IS NULL;

CREATE TABLE pickups (
    token_hash      {{bytes}} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    serial          TEXT      NOT NULL UNIQUE REFERENCES certificates (serial),
    sealed_key      {{bytes}},
    sealed_password {{bytes}},
    expires_at      {{int}}   NOT NULL,
    password_until  {{int}}   NOT NULL,
    claims          {{int}}   NOT NULL CHECK (claims >= 0),
    reads           {{int}}   NOT NULL CHECK (reads >= 0),
    last_read       {{int}}
){{strict}};

CREATE INDEX pickups_with_key ON pickups (expires_at) WHERE sealed_key IS NOT NULL;
CREATE INDEX pickups_with_password ON pickups (password_until) WHERE sealed_password IS NOT NULL;

-- Keys that devices make themselves: the challenges that let them enrol. Rows outlive
-- their time a little, so that a replay is distinguished from a guess. renews says
-- whether the device's earlier certificate stays valid beside that of the challenge;
-- invitation is no reference, as invitations are deleted earlier.
CREATE TABLE challenges (
    id          TEXT      NOT NULL PRIMARY KEY CHECK (id <> ''),
    secret_hash {{bytes}} NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
    token_hash  {{bytes}} NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    device_id   TEXT      NOT NULL REFERENCES devices (id),
    names_hash  {{bytes}} NOT NULL CHECK (length(names_hash) = 32),
    made_at     {{int}}   NOT NULL,
    expires_at  {{int}}   NOT NULL CHECK (expires_at > made_at),
    used_at     {{int}},
    serial      TEXT      UNIQUE REFERENCES certificates (serial),
    renews      {{bool}}  NOT NULL DEFAULT {{falseValue}}{{boolCheck "renews"}},
    invitation  TEXT,
    CHECK ((used_at IS NULL) = (serial IS NULL))
){{strictWithoutRowID}};

CREATE INDEX challenges_of_device ON challenges (device_id);
CREATE INDEX challenges_by_end ON challenges (expires_at);

-- The keys of the SCEP RA. The newest is used; older ones answer devices that still
-- encrypt to them.
CREATE TABLE agents (
    serial     TEXT      NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    sealed_key {{bytes}} NOT NULL,
    not_after  {{int}}   NOT NULL
){{strictWithoutRowID}};

CREATE INDEX agents_by_end ON agents (not_after);

-- While reason is set, no certificate is issued to a person.
CREATE TABLE halt (
    id     {{int}} NOT NULL PRIMARY KEY CHECK (id = 1),
    reason TEXT    NOT NULL,
    actor  TEXT    NOT NULL,
    since  {{int}},
    CHECK ((reason = '') = (since IS NULL))
){{strict}};

INSERT INTO halt (id, reason, actor) VALUES (1, '', '');

-- The audit log. node is the replica that wrote an entry.
CREATE TABLE ledger (
    seq     {{int}}   NOT NULL PRIMARY KEY,
    at      {{int}}   NOT NULL,
    action  TEXT      NOT NULL CHECK (action <> ''),
    actor   TEXT      NOT NULL,
    role    TEXT      NOT NULL,
    person  TEXT      NOT NULL,
    object  TEXT      NOT NULL,
    address TEXT      NOT NULL,
    request TEXT      NOT NULL,
    detail  TEXT      NOT NULL,
    prev    {{bytes}} NOT NULL CHECK (length(prev) = 32),
    hash    {{bytes}} NOT NULL CHECK (length(hash) = 32),
    node    TEXT      NOT NULL DEFAULT ''
){{strict}};

-- Each ends with the number, so that the newest entries come first without sorting.
-- They hold the beginnings of texts, as clients choose some of them: PostgreSQL takes
-- no index entry above a third of a page.
CREATE INDEX ledger_by_time ON ledger (at, seq);
CREATE INDEX ledger_by_action ON ledger (action, seq);
CREATE INDEX ledger_by_person ON ledger (substr(person, 1, 64), seq);
CREATE INDEX ledger_by_object ON ledger (substr(object, 1, 64), seq);
CREATE INDEX ledger_by_actor ON ledger (substr(actor, 1, 64), seq);
CREATE INDEX ledger_by_request ON ledger (substr(request, 1, 64), seq);

-- The end of the chain, and the lock under which entries get their numbers.
CREATE TABLE ledger_head (
    id   {{int}}   NOT NULL PRIMARY KEY CHECK (id = 1),
    seq  {{int}}   NOT NULL,
    hash {{bytes}} NOT NULL CHECK (length(hash) = 32)
){{strict}};

INSERT INTO ledger_head (id, seq, hash) VALUES (1, 0, {{zeroHash}});

-- Checkpoints: signatures over the end of the chain.
CREATE TABLE ledger_seals (
    seq       {{int}}   NOT NULL PRIMARY KEY CHECK (seq > 0),
    hash      {{bytes}} NOT NULL CHECK (length(hash) = 32),
    at        {{int}}   NOT NULL,
    node      TEXT      NOT NULL,
    key       TEXT      NOT NULL CHECK (key <> ''),
    signature {{bytes}} NOT NULL
){{strict}};

-- Keys that sign checkpoints. Old ones are kept: their certificates verify the
-- checkpoints they signed.
CREATE TABLE ledger_keys (
    serial     TEXT      NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    sealed_key {{bytes}} NOT NULL,
    not_after  {{int}}   NOT NULL
){{strictWithoutRowID}};

-- Cursors of those that read the audit log in order: how far they came, and which
-- replica reads.
CREATE TABLE ledger_readers (
    name          TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    seq           {{int}} NOT NULL,
    holder        TEXT    NOT NULL,
    held_until    {{int}} NOT NULL,
    failure       TEXT    NOT NULL,
    failing_since {{int}},
    CHECK ((failure = '') = (failing_since IS NULL))
){{strictWithoutRowID}};

-- The result of the last verification.
CREATE TABLE ledger_check (
    id           {{int}}   NOT NULL PRIMARY KEY CHECK (id = 1),
    seq          {{int}}   NOT NULL,
    hash         {{bytes}} NOT NULL CHECK (length(hash) = 32),
    checked_at   {{int}},
    full_at      {{int}},
    fault        TEXT      NOT NULL,
    fault_seq    {{int}}   NOT NULL,
    fault_until  {{int}}   NOT NULL,
    broken_since {{int}},
    CHECK ((fault = '') = (broken_since IS NULL))
){{strict}};

INSERT INTO ledger_check (id, seq, hash, fault, fault_seq, fault_until) VALUES (1, 0, {{zeroHash}}, '', 0, 0);

-- Every revocation, under the number of its audit entry: the audit log gives its
-- numbers in the order of commits, so a reader that read up to one has missed none.
-- A serial need not be in certificates: it may have been issued after the copy that
-- was restored. On SQLite the rows are in the order of serials, as in CRLs.
CREATE TABLE revocations (
    issuer      TEXT    NOT NULL CHECK (issuer IN ('root', 'issuing')),
    seq         {{int}} NOT NULL CHECK (seq <> 0),
    serial      TEXT    NOT NULL PRIMARY KEY CHECK (serial <> ''),
    revoked_at  {{int}} NOT NULL,
    reason_code {{int}} NOT NULL,
    not_after   {{int}} NOT NULL,
    UNIQUE (issuer, seq)
){{strictWithoutRowID}};

-- The last number of each issuer's CRLs, and the lease to build the next.
CREATE TABLE crl_numbers (
    issuer      TEXT    NOT NULL PRIMARY KEY CHECK (issuer IN ('root', 'issuing')),
    number      {{int}} NOT NULL CHECK (number > 0),
    builder     TEXT    NOT NULL DEFAULT '',
    lease_until {{int}} NOT NULL DEFAULT 0
){{strictWithoutRowID}};

-- All CRLs ever published; only the newest complete and the newest delta CRL of an
-- issuer have their DER. A CRL holds what was revoked up to the audit entry it
-- reaches through; until_at is when it and all complete CRLs before it have expired.
CREATE TABLE crls (
    issuer       TEXT      NOT NULL,
    delta        {{bool}}  NOT NULL{{boolCheck "delta"}},
    number       {{int}}   NOT NULL,
    base         {{int}}   NOT NULL CHECK (base >= 0 AND base < number),
    through      {{int}}   NOT NULL,
    this_update  {{int}}   NOT NULL,
    next_update  {{int}}   NOT NULL,
    published_at {{int}}   NOT NULL,
    until_at     {{int}}   NOT NULL,
    entries      {{int}}   NOT NULL,
    der          {{bytes}},
    PRIMARY KEY (issuer, delta, number),
    CHECK ((base > 0) = {{isTrue "delta"}})
){{strict}};

-- The first CRL that names a revocation, and the last that lacks it.
CREATE INDEX crls_by_reach ON crls (issuer, through, number);

CREATE TABLE attempts (
    key_hash     {{bytes}} NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
    tries        {{int}}   NOT NULL,
    window_start {{int}}   NOT NULL,
    paused_until {{int}}   NOT NULL,
    forget_at    {{int}}   NOT NULL
){{strictWithoutRowID}};

CREATE INDEX attempts_to_forget ON attempts (forget_at);

CREATE TABLE sessions (
    id_hash    {{bytes}} NOT NULL PRIMARY KEY CHECK (length(id_hash) = 32),
    person     TEXT      NOT NULL,
    data       {{bytes}},
    idle       {{int}}   NOT NULL,
    touched_at {{int}}   NOT NULL,
    expires_at {{int}}   NOT NULL,
    ended      {{bool}}  NOT NULL{{boolCheck "ended"}}
){{strict}};

CREATE INDEX sessions_of_person ON sessions (person);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- From a desktop to a phone. A code is kept as its argon2id hash, and is good while
-- the session that made it is. A closed row stays for the desktop to show its state.
CREATE TABLE handoffs (
    id         TEXT      NOT NULL PRIMARY KEY CHECK (id <> ''),
    code_hash  {{bytes}} NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    session    {{bytes}} NOT NULL CHECK (length(session) = 32),
    person     TEXT      NOT NULL CHECK (person <> ''),
    masked     TEXT      NOT NULL,
    number     {{int}}   NOT NULL,
    choices    TEXT      NOT NULL,
    state      TEXT      NOT NULL CHECK (state IN ('open', 'redeemed', 'burnt', 'ended')),
    expires_at {{int}}   NOT NULL,
    closed_at  {{int}},
    CHECK ((state = 'open') = (closed_at IS NULL))
){{strict}};

CREATE UNIQUE INDEX handoffs_open ON handoffs (person) WHERE closed_at IS NULL;
CREATE INDEX handoffs_by_end ON handoffs (expires_at);

-- The right to enrol once, given by the helpdesk and redeemed with a code, which is
-- kept as its argon2id hash. A closed row stays for a while, to say when its code was
-- used. The device may never be created, so device_id is no reference.
CREATE TABLE invitations (
    id         TEXT      NOT NULL PRIMARY KEY CHECK (id <> ''),
    code_hash  {{bytes}} NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    person     TEXT      NOT NULL REFERENCES people (id),
    made_by    TEXT      NOT NULL CHECK (made_by <> ''),
    made_role  TEXT      NOT NULL CHECK (made_role <> ''),
    made_at    {{int}}   NOT NULL,
    checked    TEXT      NOT NULL CHECK (checked <> ''),
    note       TEXT      NOT NULL,
    purpose    TEXT      NOT NULL CHECK (purpose <> ''),
    device_id  TEXT      NOT NULL,
    alone      {{bool}}  NOT NULL{{boolCheck "alone"}},
    state      TEXT      NOT NULL CHECK (state IN ('waiting', 'open', 'redeemed', 'ended')),
    expires_at {{int}}   NOT NULL CHECK (expires_at > made_at),
    approver   TEXT      CHECK (approver <> made_by AND approver <> person),
    closed_at  {{int}},
    serial     TEXT      UNIQUE REFERENCES certificates (serial),
    CHECK (made_by <> person),
    CHECK ((state IN ('waiting', 'open')) = (closed_at IS NULL)),
    CHECK ((state = 'redeemed') = (serial IS NOT NULL))
){{strictWithoutRowID}};

-- One at a time for each person.
CREATE UNIQUE INDEX invitations_open ON invitations (person) WHERE closed_at IS NULL;
CREATE INDEX invitations_by_end ON invitations (expires_at);

-- The accounts of the built-in directory.
CREATE TABLE accounts (
    id            TEXT     NOT NULL PRIMARY KEY CHECK (id <> ''),
    login         TEXT     NOT NULL,
    upn           TEXT     NOT NULL,
    sid           TEXT     UNIQUE CHECK (sid <> ''),
    mail          TEXT     NOT NULL,
    name          TEXT     NOT NULL,
    given_name    TEXT     NOT NULL,
    roles         TEXT     NOT NULL,
    disabled      {{bool}} NOT NULL{{boolCheck "disabled"}},
    may_enroll    {{bool}} NOT NULL{{boolCheck "may_enroll"}},
    password_hash TEXT     NOT NULL
){{strict}};

-- Every name that signs in. Logins and UPNs share one table, so that no UPN is the
-- login of another account.
CREATE TABLE account_names (
    name_key TEXT NOT NULL PRIMARY KEY CHECK (name_key <> ''),
    account  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
){{strictWithoutRowID}};

CREATE INDEX account_names_of_account ON account_names (account);

-- Mismatches between the directory and valid certificates, as the drift watch found
-- them. One lasts as long as the difference, and ends with its certificate.
CREATE TABLE marks (
    serial TEXT    NOT NULL REFERENCES certificates (serial),
    change TEXT    NOT NULL CHECK (change <> ''),
    since  {{int}} NOT NULL,
    PRIMARY KEY (serial, change)
){{strictWithoutRowID}};

-- Leavers: people whose certificates the drift watch ended, the last time it did, and
-- when it had first seen the reason.
CREATE TABLE departures (
    person   TEXT    NOT NULL PRIMARY KEY CHECK (person <> ''),
    since    {{int}} NOT NULL,
    ended_at {{int}} NOT NULL
){{strictWithoutRowID}};

CREATE INDEX departures_by_time ON departures (since);

-- The state of the drift watch.
CREATE TABLE watch (
    id         {{int}} NOT NULL PRIMARY KEY CHECK (id = 1),
    reason     TEXT    NOT NULL,
    stopped_at {{int}},
    allowed_at {{int}},
    passed_at  {{int}},
    source     TEXT    NOT NULL,
    CHECK ((reason = '') = (stopped_at IS NULL))
){{strict}};

INSERT INTO watch (id, reason, source) VALUES (1, '', '');

-- Bulk revocations. One gathers its certificates first, so that exactly what was
-- confirmed is revoked.
CREATE TABLE orders (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    state         TEXT    NOT NULL
        CHECK (state IN ('gathering', 'draft', 'waiting', 'running', 'done', 'dropped', 'expired')),
    filter        TEXT    NOT NULL,
    place         TEXT    NOT NULL,
    maker         TEXT    NOT NULL CHECK (maker <> ''),
    maker_name    TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    request       TEXT    NOT NULL,
    made_at       {{int}} NOT NULL,
    expires_at    {{int}} NOT NULL,
    cause         TEXT    NOT NULL,
    comment       TEXT    NOT NULL,
    approver      TEXT    NOT NULL,
    approver_name TEXT    NOT NULL,
    approved_at   {{int}},
    closed_at     {{int}},
    items         {{int}} NOT NULL,
    finished      {{int}} NOT NULL,
    ended         {{int}} NOT NULL,
    CHECK (approver = '' OR approver <> maker),
    CHECK ((state IN ('done', 'dropped', 'expired')) = (closed_at IS NOT NULL))
){{strict}};

CREATE INDEX orders_open ON orders (made_at) WHERE closed_at IS NULL;
CREATE INDEX orders_by_time ON orders (made_at, id);

CREATE TABLE order_items (
    order_id TEXT    NOT NULL REFERENCES orders (id),
    place    {{int}} NOT NULL,
    serial   TEXT    NOT NULL REFERENCES certificates (serial),
    outcome  TEXT    NOT NULL CHECK (outcome IN ('', 'ended', 'before')),
    PRIMARY KEY (order_id, place),
    UNIQUE (order_id, serial)
){{strictWithoutRowID}};

-- Mail: up to which audit entry messages are written, and how sending goes.
CREATE TABLE outbox (
    id            {{int}} NOT NULL PRIMARY KEY CHECK (id = 1),
    seq           {{int}} NOT NULL,
    sent_at       {{int}},
    failing_since {{int}},
    failure       TEXT    NOT NULL
){{strict}};

INSERT INTO outbox (id, seq, failure) VALUES (1, 0, '');

-- A message is written once: about names its subject. Once closed it holds no
-- parameters, and no address unless it was given up.
CREATE TABLE letters (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (id <> ''),
    about         TEXT    NOT NULL UNIQUE CHECK (about <> ''),
    kind          TEXT    NOT NULL CHECK (kind <> ''),
    person        TEXT    NOT NULL,
    recipient     TEXT,
    language      TEXT    NOT NULL,
    facts         TEXT,
    made_at       {{int}} NOT NULL,
    tries         {{int}} NOT NULL CHECK (tries >= 0),
    next_at       {{int}} NOT NULL,
    claimed_until {{int}},
    closed_at     {{int}},
    failure       TEXT    CHECK (failure <> ''),
    given_up      {{int}} CHECK (given_up = 1),
    CHECK ((closed_at IS NULL) = (facts IS NOT NULL)),
    CHECK (closed_at IS NOT NULL OR recipient IS NOT NULL),
    CHECK (given_up IS NULL OR (closed_at IS NOT NULL AND failure IS NOT NULL))
){{strict}};

CREATE INDEX letters_waiting ON letters (next_at) WHERE closed_at IS NULL;
CREATE INDEX letters_by_end ON letters (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX letters_given_up ON letters (closed_at) WHERE given_up IS NOT NULL;

-- The language in which a person last read the pages.
CREATE TABLE languages (
    person   TEXT NOT NULL PRIMARY KEY CHECK (person <> ''),
    language TEXT NOT NULL CHECK (language <> '')
){{strict}};
