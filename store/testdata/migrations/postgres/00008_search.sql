-- Finding people, devices and certificates among a million, orders that end many
-- certificates, and the switch that stops issuing.

-- +goose Up

-- As the directory called somebody when they last got a certificate.
ALTER TABLE people ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE people ADD COLUMN upn TEXT NOT NULL DEFAULT '';

-- One index leads each search; whatever else is asked for is looked at on the way.
CREATE INDEX certificates_by_request ON certificates (requested_at, serial);
CREATE INDEX certificates_of_person ON certificates (person, requested_at, serial);
CREATE INDEX certificates_by_end ON certificates (not_after, serial) WHERE der IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX certificates_by_revocation ON certificates (revoked_at, serial) WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_replaced ON certificates (requested_at, serial) WHERE status = 'superseded';
CREATE INDEX certificates_being_made ON certificates (requested_at, serial) WHERE der IS NULL AND revoked_at IS NULL;
-- Prefixes are ranges, which only this order of letters keeps together.
ALTER TABLE devices ALTER COLUMN name_key TYPE TEXT COLLATE "C";
CREATE INDEX devices_by_name ON devices (name_key, id);
CREATE INDEX devices_by_creation ON devices (created_at, id);

-- The words of names, and whole UPNs, folded.
CREATE TABLE person_words (
    word   TEXT COLLATE "C" NOT NULL CHECK (word <> ''),
    person TEXT NOT NULL REFERENCES people (id),
    PRIMARY KEY (word, person)
);

CREATE INDEX words_of_person ON person_words (person, word);

UPDATE people SET upn = coalesce((SELECT c.upn FROM certificates c WHERE c.person = people.id
    ORDER BY c.requested_at DESC, c.serial LIMIT 1), '');
INSERT INTO person_words (word, person) SELECT lower(upn), id FROM people WHERE upn <> '';

-- An order gathers the certificates it means first, so that what is confirmed is
-- what is ended.
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
    made_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    cause         TEXT    NOT NULL,
    comment       TEXT    NOT NULL,
    approver      TEXT    NOT NULL,
    approver_name TEXT    NOT NULL,
    approved_at   BIGINT,
    closed_at     BIGINT,
    items         BIGINT NOT NULL,
    finished      BIGINT NOT NULL,
    ended         BIGINT NOT NULL,
    CHECK (approver = '' OR approver <> maker),
    CHECK ((state IN ('done', 'dropped', 'expired')) = (closed_at IS NOT NULL))
);

CREATE INDEX orders_open ON orders (made_at) WHERE closed_at IS NULL;
CREATE INDEX orders_by_time ON orders (made_at, id);

CREATE TABLE order_items (
    order_id TEXT    NOT NULL REFERENCES orders (id),
    place    BIGINT NOT NULL,
    serial   TEXT    NOT NULL REFERENCES certificates (serial),
    outcome  TEXT    NOT NULL CHECK (outcome IN ('', 'ended', 'before')),
    PRIMARY KEY (order_id, place),
    UNIQUE (order_id, serial)
);

-- While reason is set, nobody gets a certificate.
CREATE TABLE halt (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    reason TEXT    NOT NULL,
    actor  TEXT    NOT NULL,
    since  BIGINT,
    CHECK ((reason = '') = (since IS NULL))
);

INSERT INTO halt (id, reason, actor) VALUES (1, '', '');
