-- The name of the device's Apple profile among those of its person. It is NULL in the rows of
-- older binaries, whose devices have the profile of their id.
ALTER TABLE devices ADD COLUMN profile TEXT CHECK (profile <> '');
