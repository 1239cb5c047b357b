-- When an issuing CA was revoked, and the reason in the list of its root (RFC 5280 section
-- 5.3.1).
ALTER TABLE authorities ADD COLUMN revoked_at {{int}};
ALTER TABLE authorities ADD COLUMN reason_code {{int}};
