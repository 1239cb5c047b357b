CREATE TRIGGER certificates_keep_their_authority BEFORE UPDATE OF issuer, authority ON certificates
FOR EACH ROW EXECUTE FUNCTION refuse_change('the issuer of a certificate does not change');

CREATE TRIGGER revoked_authorities_stay_revoked BEFORE UPDATE ON authorities
FOR EACH ROW WHEN (OLD.state = 'revoked' AND NEW.state <> 'revoked')
EXECUTE FUNCTION refuse_change('a revoked authority stays revoked');

CREATE TRIGGER authorities_are_kept BEFORE DELETE OR TRUNCATE ON authorities
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('authorities are not removed');
