-- Requests to CAs that the portal does not run. Until such a CA gives its certificate a
-- serial, the row in certificates has the number of the request in its place. The private
-- key of a request that waits is encrypted under a secret that only the person's browser
-- has. next_at is when the request is looked at again, by the replica that moves it on; NULL
-- when nothing is left to do.
CREATE TABLE upstream_requests (
    number     TEXT      NOT NULL PRIMARY KEY CHECK (number <> ''),
    serial     TEXT      UNIQUE CHECK (serial <> ''),
    authority  TEXT      NOT NULL CHECK (authority LIKE 'upstream-%'),
    csr        {{bytes}} NOT NULL,
    state      TEXT      NOT NULL CHECK (state IN ('sent', 'pending', 'unknown', 'issued', 'denied', 'refused', 'late', 'lost', 'unsent')),
    remote_id  TEXT      NOT NULL DEFAULT '',
    token_hash {{bytes}} CHECK (length(token_hash) = 32),
    sealed_key {{bytes}},
    overlap    {{bool}}  NOT NULL DEFAULT {{falseValue}}{{boolCheck "overlap"}},
    ends       TEXT      CHECK (ends <> ''),
    sent_at    {{int}}   NOT NULL,
    next_at    {{int}},
    tries      {{int}}   NOT NULL DEFAULT 0,
    closed_at  {{int}},
    detail     TEXT      NOT NULL DEFAULT '',
    CHECK ((state = 'issued') = (serial IS NOT NULL)),
    CHECK ((state IN ('sent', 'pending', 'unknown')) = (closed_at IS NULL))
){{strict}};

CREATE INDEX upstream_requests_due ON upstream_requests (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX upstream_requests_troubled ON upstream_requests (sent_at) WHERE state IN ('unknown', 'refused', 'lost');
CREATE INDEX upstream_requests_by_time ON upstream_requests (sent_at);

-- What such a CA must revoke: certificates that the portal ended, and those that it refused
-- to record because they were not what was asked for, or came too late.
CREATE TABLE upstream_revocations (
    serial      TEXT      NOT NULL,
    authority   TEXT      NOT NULL CHECK (authority LIKE 'upstream-%'),
    der         {{bytes}} NOT NULL,
    reason_code {{int}}   NOT NULL,
    why         TEXT      NOT NULL CHECK (why IN ('ended', 'refused', 'late')),
    asked_at    {{int}}   NOT NULL,
    next_at     {{int}},
    tries       {{int}}   NOT NULL DEFAULT 0,
    done_at     {{int}},
    detail      TEXT      NOT NULL DEFAULT '',
    PRIMARY KEY (serial, authority)
){{strict}};

CREATE INDEX upstream_revocations_due ON upstream_revocations (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX upstream_revocations_open ON upstream_revocations (asked_at) WHERE done_at IS NULL;
