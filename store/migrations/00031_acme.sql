-- TLS certificates of the portal by ACME, which all replicas serve: one row for each server
-- and list of names. The key is encrypted under the secret of the installation. holder is the
-- replica that orders at the moment; no replica orders before again_at.
CREATE TABLE acme_certificates (
    id            TEXT      NOT NULL PRIMARY KEY CHECK (id <> ''),
    chain         {{bytes}},
    sealed_key    {{bytes}},
    failing_since {{int}},
    failure       TEXT      NOT NULL DEFAULT '',
    tries         {{int}}   NOT NULL DEFAULT 0,
    again_at      {{int}}   NOT NULL DEFAULT 0,
    holder        TEXT      NOT NULL DEFAULT '',
    lease_until   {{int}}   NOT NULL DEFAULT 0,
    CHECK ((chain IS NULL) = (sealed_key IS NULL))
){{strict}};

-- What a replica answers a server that asks over plain http (RFC 8555 section 8.3). A row that
-- was planted would give its author a certificate for the portal's name: mac authenticates it.
CREATE TABLE acme_challenges (
    token      TEXT      NOT NULL PRIMARY KEY CHECK (token <> ''),
    answer     TEXT      NOT NULL CHECK (answer <> ''),
    expires_at {{int}}   NOT NULL,
    mac        {{bytes}} NOT NULL CHECK (length(mac) = 32)
){{strict}};
