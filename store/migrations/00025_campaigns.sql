-- The renewal of the certificates of a revoked CA. People are asked in the order of their
-- ids, in waves: those up to asked_to were asked, and are not asked again.
CREATE TABLE campaigns (
    authority  TEXT    NOT NULL PRIMARY KEY REFERENCES authorities (name),
    started_at {{int}} NOT NULL,
    devices    {{int}} NOT NULL CHECK (devices > 0),
    asked_to   TEXT    NOT NULL DEFAULT '',
    mailed     {{int}} NOT NULL DEFAULT 0,
    next_at    {{int}} NOT NULL,
    ended_at   {{int}}
){{strict}};
