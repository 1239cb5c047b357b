-- Indexes of the overview and of sorted searches. The sweep and the drift watch keep
-- theirs.

-- Certificates in use by their end. certificates_by_end holds superseded ones too.
CREATE INDEX certificates_in_use ON certificates (not_after, serial) WHERE status = 'issued';

-- Signed certificates by their request, so that counting them reads no rows.
CREATE INDEX certificates_signed ON certificates (requested_at) WHERE der IS NOT NULL;
