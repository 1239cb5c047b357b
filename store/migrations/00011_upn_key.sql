-- The folded UPN of a certificate, under which a reservation looks for certificates of
-- other accounts. It is NULL in the rows of older binaries, whose UPN then counts in
-- lower case; the drift watch compares those properly.
ALTER TABLE certificates ADD COLUMN upn_key TEXT;

CREATE INDEX certificates_by_upn ON certificates (COALESCE(upn_key, lower(upn))) WHERE revoked_at IS NULL;
