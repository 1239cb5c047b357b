-- Authentication of rows by the secret of the installation, so that rows planted in the
-- database are none. Rows from before have no mac: they no longer open anything.

ALTER TABLE handoffs ADD COLUMN mac {{bytes}} CHECK (length(mac) = 32);
ALTER TABLE invitations ADD COLUMN mac {{bytes}} CHECK (length(mac) = 32);
ALTER TABLE challenges ADD COLUMN mac {{bytes}} CHECK (length(mac) = 32);
ALTER TABLE orders ADD COLUMN mac {{bytes}} CHECK (length(mac) = 32);
ALTER TABLE order_items ADD COLUMN mac {{bytes}} CHECK (length(mac) = 32);
