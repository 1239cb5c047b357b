CREATE TRIGGER certificates_keep_their_authority BEFORE UPDATE OF issuer, authority ON certificates
BEGIN
    SELECT RAISE(ABORT, 'the issuer of a certificate does not change');
END;

CREATE TRIGGER revoked_authorities_stay_revoked BEFORE UPDATE ON authorities
WHEN OLD.state = 'revoked' AND NEW.state <> 'revoked'
BEGIN
    SELECT RAISE(ABORT, 'a revoked authority stays revoked');
END;

CREATE TRIGGER authorities_are_kept BEFORE DELETE ON authorities
BEGIN
    SELECT RAISE(ABORT, 'authorities are not removed');
END;
