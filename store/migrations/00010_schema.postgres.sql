-- Triggers that keep what must not change.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END
$$;

CREATE TRIGGER revocation_is_final BEFORE UPDATE ON certificates
FOR EACH ROW WHEN (OLD.status = 'revoked' AND NEW.status <> 'revoked')
EXECUTE FUNCTION refuse_change('a revoked certificate stays revoked');

CREATE TRIGGER revoked_certificates_are_kept BEFORE DELETE ON certificates
FOR EACH ROW WHEN (OLD.status = 'revoked')
EXECUTE FUNCTION refuse_change('a revoked certificate is not removed');

CREATE TRIGGER certificates_are_kept BEFORE TRUNCATE ON certificates
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('a revoked certificate is not removed');

CREATE TRIGGER revocations_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON revocations
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('revocations are append-only');

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the ledger is append-only');

CREATE TRIGGER ledger_seals_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_seals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('seals are append-only');
