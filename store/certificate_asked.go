package store

import (
	"context"
	"fmt"

	"certportal/ca/ocsp"
)

// NoteAsked records the last questions about certificates of people, each unless one is
// recorded that is not older than [ocsp.AskedEvery]. Other serials are left out: what the
// portal's own certificates are asked about helps no one.
func (db RevocationLists) NoteAsked(ctx context.Context, asked []ocsp.Asked) error {
	return db.write(ctx, "noting questions about certificates", func(ctx context.Context, t *tx) error {
		for _, a := range asked {
			_, err := t.Exec(ctx, `INSERT INTO asked_certificates (serial, asked_at)
				SELECT serial, $2 FROM certificates WHERE serial = $1 AND kind = 'user' AND der IS NOT NULL
				ON CONFLICT (serial) DO UPDATE SET asked_at = excluded.asked_at
				WHERE asked_certificates.asked_at <= excluded.asked_at - $3`,
				a.Serial.String(), a.At.UnixMilli(), ocsp.AskedEvery.Milliseconds())
			if err != nil {
				return fmt.Errorf("noting a question about %s: %w", a.Serial, err)
			}
		}
		return nil
	})
}
