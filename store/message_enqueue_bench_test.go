package store_test

import (
	"fmt"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// BenchmarkExpiringAllReminded is the hourly search for reminders among 44,000 certificates
// that end within 16 days and have their reminder: what a million certificates of a
// year contain.
func BenchmarkExpiringAllReminded(b *testing.B) {
	const many = 44_000
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			address := engine.address(b)
			db, plain := opened(b, address), connect(b, engine.driver, address)
			tx, err := plain.Begin()
			if err != nil {
				b.Fatal(err)
			}
			do := func(query string, args ...any) {
				b.Helper()
				if _, err := tx.Exec(query, args...); err != nil {
					b.Fatal(err)
				}
			}
			do("INSERT INTO people (id, changes) VALUES ('anna', 1)")
			end := testkit.Noon.Add(year)
			for n := range many {
				id := fmt.Sprintf("%032x", n+1)
				do(`INSERT INTO devices (id, person, name, name_key, platform, created_at) VALUES ($1, 'anna', $1, $1, 'ios', 1)`, id)
				do(`INSERT INTO certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash,
					not_before, not_after, requested_at, der) VALUES ($1, 'issuing', 'user', 'User', 'issued', 'anna', $1, 'u', 's', 'm', $2,
					$3, $4, $3, $2)`, id, []byte(id), testkit.Noon.UnixMilli(), end.Add(-time.Duration(n)*16*24*time.Hour/many).UnixMilli())
				do(`INSERT INTO letters (id, about, kind, person, language, made_at, tries, next_at, closed_at)
					VALUES ($1, 'ends:30:' || $1, 'ending', 'anna', 'en', 1, 0, 1, 1)`, id)
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				found := testkit.Must(db.ExpiringCertificates(b.Context(), "ends:30:", end.Add(-16*24*time.Hour), end, year/10, 200))(b)
				if len(found) != 0 {
					b.Fatalf("%d are told twice", len(found))
				}
			}
		})
	}
}

const year = 365 * 24 * time.Hour
