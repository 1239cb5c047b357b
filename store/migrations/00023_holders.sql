-- Which people hold a certificate in use of each issuing CA, in the order of the people.
CREATE INDEX certificates_held ON certificates (COALESCE(authority, issuer), person, not_after)
    WHERE status = 'issued' AND person IS NOT NULL;
