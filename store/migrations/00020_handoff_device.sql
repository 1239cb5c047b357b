-- The device that the phone of a hand-off enrolled. It is NULL before, and in the rows of
-- older binaries.
ALTER TABLE handoffs ADD COLUMN device TEXT CHECK (device <> '');
