-- The parameters of a message that was given up, so that it can be sent again. They go
-- with the row.
ALTER TABLE letters ADD COLUMN kept_facts TEXT;
