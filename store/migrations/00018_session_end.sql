-- Why a session was ended before its time: 'lost' where a device of its person was reported
-- lost. It is NULL for other reasons, and in the rows of older binaries.
ALTER TABLE sessions ADD COLUMN end_cause TEXT CHECK (end_cause <> '');
