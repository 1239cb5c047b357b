-- Who says that a CA elsewhere revoked a certificate: the CA itself when it was asked ('ca'),
-- an operator, or the program on the host of a CA that cannot be asked ('revoker'). Empty
-- while it is open, and in rows of older binaries.
ALTER TABLE upstream_revocations ADD COLUMN done_by TEXT NOT NULL DEFAULT '' CHECK (done_by IN ('', 'ca', 'operator', 'revoker'));

-- When that program last asked for what it has to revoke.
CREATE TABLE upstream_revokers (
    authority TEXT    NOT NULL PRIMARY KEY CHECK (authority LIKE 'upstream-%'),
    asked_at  {{int}} NOT NULL
){{strict}};
