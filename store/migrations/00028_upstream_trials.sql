-- Tests of CAs that the portal does not run. The request is in upstream_requests; its
-- reservation is ended before it is sent. denied_as is why the CA denied it, as far as its
-- code says. serial is of the certificate that came and must be revoked.
CREATE TABLE upstream_trials (
    number    TEXT    NOT NULL PRIMARY KEY REFERENCES upstream_requests (number),
    authority TEXT    NOT NULL CHECK (authority LIKE 'upstream-%'),
    kind      TEXT    NOT NULL CHECK (kind IN ('issue', 'refusal')),
    person    TEXT    NOT NULL CHECK (person <> ''),
    asked_at  {{int}} NOT NULL,
    denied_as TEXT    NOT NULL DEFAULT '' CHECK (denied_as IN ('', 'request', 'person', 'portal')),
    serial    TEXT    CHECK (serial <> '')
){{strict}};

CREATE INDEX upstream_trials_by_time ON upstream_trials (authority, kind, asked_at);
