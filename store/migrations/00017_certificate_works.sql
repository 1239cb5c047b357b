-- When a certificate was first seen to work, and by what. Both are NULL in the rows of older
-- binaries, whose certificates are known to be downloaded at most.
ALTER TABLE certificates ADD COLUMN works_at {{int}};
ALTER TABLE certificates ADD COLUMN works_by TEXT CHECK (works_by <> '');
