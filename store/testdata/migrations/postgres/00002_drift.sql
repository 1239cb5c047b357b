-- What the drift watch remembers: how the directory departed from certificates
-- that work.

-- +goose Up

-- The condition is that of the statuses issued and superseded (see 00001).
CREATE INDEX certificates_working ON certificates (person, not_after, kind)
    WHERE der IS NOT NULL AND revoked_at IS NULL;

-- A mark lasts while the difference does, and ends with its certificate.
CREATE TABLE marks (
    serial TEXT    NOT NULL REFERENCES certificates (serial),
    change TEXT    NOT NULL CHECK (change <> ''),
    since  BIGINT  NOT NULL,
    PRIMARY KEY (serial, change)
);

-- People whose certificates the watch ended, the last time it did, and when it
-- had first seen why.
CREATE TABLE departures (
    person   TEXT    NOT NULL PRIMARY KEY CHECK (person <> ''),
    since    BIGINT  NOT NULL,
    ended_at BIGINT  NOT NULL
);

CREATE INDEX departures_by_time ON departures (since);

CREATE TABLE watch (
    id         BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    reason     TEXT    NOT NULL,
    stopped_at BIGINT,
    allowed_at BIGINT,
    passed_at  BIGINT,
    source     TEXT    NOT NULL,
    CHECK ((reason = '') = (stopped_at IS NULL))
);

-- Before this version there was no directory but the built-in one.
INSERT INTO watch (id, reason, source)
    SELECT 1, '', CASE WHEN EXISTS (SELECT 1 FROM people) THEN 'builtin' ELSE '' END;
