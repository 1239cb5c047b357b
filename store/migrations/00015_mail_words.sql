-- People are found by their mail addresses too. Certificates hold those that were valid
-- ASCII addresses; longer ones than an index takes are not found.
INSERT INTO person_words (word, person)
    SELECT DISTINCT lower(mail), person FROM certificates
    WHERE mail <> '' AND person IS NOT NULL AND length(mail) <= 64
    ON CONFLICT DO NOTHING;

-- Sorted lists: all certificates by their end, and people by their name.
CREATE INDEX certificates_by_validity ON certificates (not_after, serial);
CREATE INDEX people_by_name ON people (name, id);
