-- What the revocation lists of a CA elsewhere say, apart from what the CA itself confirmed
-- (done_at). listed_* is the first list, or OCSP answer, that named the certificate;
-- absent_update the newest list that does not, NULL when the newest does; absent_until when
-- the last list without it ends. points says which lists the certificate names.
ALTER TABLE upstream_revocations ADD COLUMN not_after {{int}};
ALTER TABLE upstream_revocations ADD COLUMN points TEXT NOT NULL DEFAULT '';
ALTER TABLE upstream_revocations ADD COLUMN listed_at {{int}};
ALTER TABLE upstream_revocations ADD COLUMN listed_in TEXT NOT NULL DEFAULT '';
ALTER TABLE upstream_revocations ADD COLUMN listed_number TEXT NOT NULL DEFAULT '';
ALTER TABLE upstream_revocations ADD COLUMN listed_update {{int}};
ALTER TABLE upstream_revocations ADD COLUMN listed_online {{bool}} NOT NULL DEFAULT {{falseValue}}{{boolCheck "listed_online"}};
ALTER TABLE upstream_revocations ADD COLUMN absent_update {{int}};
ALTER TABLE upstream_revocations ADD COLUMN absent_until {{int}};

UPDATE upstream_revocations SET not_after = (SELECT c.not_after FROM certificates c WHERE c.serial = upstream_revocations.serial);

CREATE INDEX upstream_revocations_unlisted ON upstream_revocations (authority, asked_at) WHERE listed_at IS NULL;
CREATE INDEX upstream_revocations_listed ON upstream_revocations (authority, listed_at) WHERE listed_at IS NOT NULL;
CREATE INDEX upstream_revocations_absent ON upstream_revocations (authority) WHERE absent_update IS NOT NULL;

-- When the lists of a CA were looked at, by one replica for all.
CREATE TABLE upstream_watches (
    authority   TEXT    NOT NULL PRIMARY KEY CHECK (authority LIKE 'upstream-%'),
    looked_at   {{int}} NOT NULL,
    taken_until {{int}} NOT NULL
){{strict}};

-- The lists, by the addresses that certificates of the CA name. The fields from number to
-- size are of the newest good list that was there.
CREATE TABLE upstream_lists (
    authority     TEXT     NOT NULL CHECK (authority LIKE 'upstream-%'),
    address       TEXT     NOT NULL,
    number        TEXT     NOT NULL DEFAULT '',
    delta         {{bool}} NOT NULL DEFAULT {{falseValue}}{{boolCheck "delta"}},
    this_update   {{int}},
    next_update   {{int}},
    size          {{int}}  NOT NULL DEFAULT 0,
    checked_at    {{int}}  NOT NULL,
    failing_since {{int}},
    problem       TEXT     NOT NULL DEFAULT '',
    needed        {{bool}} NOT NULL DEFAULT {{falseValue}}{{boolCheck "needed"}},
    detail        TEXT     NOT NULL DEFAULT '',
    PRIMARY KEY (authority, address)
){{strict}};
