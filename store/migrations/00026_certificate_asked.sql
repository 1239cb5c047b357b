-- When an OCSP client last asked for the status of a person's certificate, noted at most
-- once an hour.
CREATE TABLE asked_certificates (
    serial   TEXT    NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    asked_at {{int}} NOT NULL
){{strict}};
