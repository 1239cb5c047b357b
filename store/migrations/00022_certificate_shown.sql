-- The last time that a device showed a certificate to the check address, and the verdict.
CREATE TABLE shown_certificates (
    serial   TEXT    NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    verdict  TEXT    NOT NULL CHECK (verdict <> ''),
    shown_at {{int}} NOT NULL
){{strict}};
