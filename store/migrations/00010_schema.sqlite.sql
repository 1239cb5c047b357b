-- Triggers that keep what must not change.

CREATE TRIGGER revocation_is_final BEFORE UPDATE ON certificates
WHEN OLD.status = 'revoked' AND NEW.status <> 'revoked'
BEGIN
    SELECT RAISE(ABORT, 'a revoked certificate stays revoked');
END;

CREATE TRIGGER revoked_certificates_are_kept BEFORE DELETE ON certificates
WHEN OLD.status = 'revoked'
BEGIN
    SELECT RAISE(ABORT, 'a revoked certificate is not removed');
END;

CREATE TRIGGER revocations_are_not_rewritten BEFORE UPDATE ON revocations
BEGIN
    SELECT RAISE(ABORT, 'revocations are append-only');
END;

CREATE TRIGGER revocations_are_not_removed BEFORE DELETE ON revocations
BEGIN
    SELECT RAISE(ABORT, 'revocations are append-only');
END;

CREATE TRIGGER ledger_is_not_rewritten BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER ledger_seals_are_not_rewritten BEFORE UPDATE ON ledger_seals
BEGIN
    SELECT RAISE(ABORT, 'seals are append-only');
END;

CREATE TRIGGER ledger_seals_are_not_removed BEFORE DELETE ON ledger_seals
BEGIN
    SELECT RAISE(ABORT, 'seals are append-only');
END;
