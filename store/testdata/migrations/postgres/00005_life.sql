-- The life of a device: renewal with an overlap, and devices that are blocked.

-- +goose Up

-- When the portal ends a certificate that a renewal superseded, and the serial of
-- the newer one. A revoked one keeps both.
ALTER TABLE certificates ADD COLUMN ends_at BIGINT;
ALTER TABLE certificates ADD COLUMN superseded_by TEXT REFERENCES certificates (serial);
UPDATE certificates SET ends_at = not_after WHERE status = 'superseded';

-- Without those whose own end comes no later: nothing is to be done about them.
CREATE INDEX certificates_overdue ON certificates (ends_at)
    WHERE ends_at IS NOT NULL AND revoked_at IS NULL AND not_after > ends_at;
CREATE INDEX certificates_by_successor ON certificates (superseded_by) WHERE superseded_by IS NOT NULL;

ALTER TABLE devices ADD COLUMN blocked_at BIGINT;

-- Whether what the device holds works on beside the certificate of the challenge.
ALTER TABLE challenges ADD COLUMN renews BOOLEAN NOT NULL DEFAULT FALSE;
