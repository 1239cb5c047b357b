-- The certificate that its person agreed to end with the challenge, as serial. It is NULL
-- where none may end, and in the rows of older binaries.
ALTER TABLE challenges ADD COLUMN ends TEXT CHECK (ends <> '');
