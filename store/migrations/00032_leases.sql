-- Work that one replica does at a time. Each acquisition has a higher turn: who lost the lease
-- and works on is refused in the transaction that writes.
CREATE TABLE leases (
    name        TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    holder      TEXT    NOT NULL DEFAULT '',
    turn        {{int}} NOT NULL DEFAULT 0,
    lease_until {{int}} NOT NULL DEFAULT 0
){{strict}};

-- The claim on a message, so that a sender extends and gives back its own only.
ALTER TABLE letters ADD COLUMN claimed_by TEXT NOT NULL DEFAULT '';
