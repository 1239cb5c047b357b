-- The issuing CAs, each with its own key: the first is issuing, the next issuing-2. Their
-- certificates and keys are in the CA's folder; the row says which one they are, by the
-- SHA-256 of the certificate, and what the authority may do.
CREATE TABLE authorities (
    name         TEXT      NOT NULL PRIMARY KEY CHECK (name LIKE 'issuing%'),
    fingerprint  {{bytes}} NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
    state        TEXT      NOT NULL CHECK (state IN ('pending', 'active', 'retiring', 'retired', 'revoked')),
    not_after    {{int}}   NOT NULL,
    added_at     {{int}}   NOT NULL,
    activate_at  {{int}},
    activated_at {{int}},
    left_at      {{int}},
    retired_at   {{int}},
    CHECK ((state = 'pending') = (activated_at IS NULL)),
    CHECK (state IN ('pending', 'active') OR left_at IS NOT NULL)
){{strict}};

-- One authority issues at a time.
CREATE UNIQUE INDEX authorities_active ON authorities (state) WHERE state = 'active';

-- Which authority signed a certificate or revokes it, where that is not the first: the
-- column issuer keeps saying what kind of CA it is, for binaries that know the first only.
ALTER TABLE certificates ADD COLUMN authority TEXT CHECK (authority <> '');
ALTER TABLE revocations ADD COLUMN authority TEXT CHECK (authority <> '');

-- Revocations in their order, for each list.
CREATE INDEX revocations_of_authority ON revocations (COALESCE(authority, issuer), seq);

-- Who still holds a certificate of an authority, and until when.
CREATE INDEX certificates_of_authority ON certificates (COALESCE(authority, issuer), not_after);

-- The numbers of CRLs, without the names of the two CAs that there were.
CREATE TABLE crl_numbers_of_all (
    issuer      TEXT    NOT NULL PRIMARY KEY CHECK (issuer <> ''),
    number      {{int}} NOT NULL CHECK (number > 0),
    builder     TEXT    NOT NULL DEFAULT '',
    lease_until {{int}} NOT NULL DEFAULT 0
){{strictWithoutRowID}};
INSERT INTO crl_numbers_of_all (issuer, number, builder, lease_until) SELECT issuer, number, builder, lease_until FROM crl_numbers;
DROP TABLE crl_numbers;
ALTER TABLE crl_numbers_of_all RENAME TO crl_numbers;
