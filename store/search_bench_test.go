package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"certportal/internal/admin"
)

// seededDatabase is the address of a database that "certportal seed" filled. Filling
// one takes minutes, so it is made once for all benchmarks.
func seededDatabase(b *testing.B) string {
	b.Helper()
	address := os.Getenv("SEEDED_DATABASE")
	if address == "" {
		b.Skip("SEEDED_DATABASE names no database filled by certportal seed")
	}
	return address
}

// BenchmarkSearch is one page of 50 for each kind of search, with changing names,
// days and cursors, so that no page is asked for twice.
func BenchmarkSearch(b *testing.B) {
	db := opened(b, seededDatabase(b))
	now := time.Now()
	all := sampled(b, db, now)
	any := func() admin.Certificate { return all[rand.IntN(len(all))] }
	word := func(n int) string {
		words := admin.NameWords(any().PersonName, "", "")
		return prefix(words[rand.IntN(len(words))], n)
	}
	day := func() time.Time { return now.AddDate(0, 0, -rand.IntN(700)) }
	for _, search := range []struct {
		name string
		next func() admin.Filter
	}{
		{"newest", func() admin.Filter { return admin.Filter{To: day()} }},
		{"serial", func() admin.Filter { return admin.Filter{Serial: any().Serial.String()} }},
		{"serial-prefix", func() admin.Filter { return admin.Filter{Serial: any().Serial.String()[:4]} }},
		{"upn", func() admin.Filter { return admin.Filter{Person: any().UPN} }},
		{"name-3-letters", func() admin.Filter { return admin.Filter{Person: word(3)} }},
		{"name-two-words", func() admin.Filter { return admin.Filter{Person: any().PersonName} }},
		{"name-and-status", func() admin.Filter { return admin.Filter{Person: word(2), State: admin.Revoked} }},
		{"name-and-nothing", func() admin.Filter { return admin.Filter{Person: word(2), State: admin.Pending} }},
		{"person", func() admin.Filter { return admin.Filter{PersonID: any().Person} }},
		{"device", func() admin.Filter { return admin.Filter{Device: prefix(any().DeviceName, 6)} }},
		{"working", func() admin.Filter { return admin.Filter{State: admin.Working} }},
		{"expiring", func() admin.Filter { return admin.Filter{State: admin.Expiring, Days: 1 + rand.IntN(90)} }},
		{"expired", func() admin.Filter { return admin.Filter{State: admin.Expired} }},
		{"revoked-in-days", func() admin.Filter { return admin.Filter{State: admin.Revoked, From: day()} }},
		{"superseded", func() admin.Filter { return admin.Filter{State: admin.Superseded} }},
		{"authority", func() admin.Filter { return admin.Filter{Issuer: "issuing", State: admin.Working} }},
		{"authority-and-nothing", func() admin.Filter { return admin.Filter{Issuer: "issuing-2", State: admin.Working} }},
		{"days-and-nothing", func() admin.Filter { return admin.Filter{State: admin.Pending, To: day(), From: now.AddDate(-2, 0, 0)} }},
	} {
		b.Run("certificates/"+search.name, func(b *testing.B) {
			measured(b, func() error {
				_, err := db.Certificates(context.Background(), search.next(), admin.Cursor{}, admin.PageSize, now)
				return err
			})
		})
	}
	for _, search := range []struct {
		name string
		next func() admin.Filter
	}{
		{"newest", func() admin.Filter { return admin.Filter{To: day()} }},
		{"name", func() admin.Filter { return admin.Filter{Device: prefix(any().DeviceName, 7)} }},
		{"person", func() admin.Filter { return admin.Filter{Person: word(4)} }},
		{"revoked", func() admin.Filter { return admin.Filter{State: admin.Revoked, To: day()} }},
	} {
		b.Run("devices/"+search.name, func(b *testing.B) {
			measured(b, func() error {
				_, err := db.SearchDevices(context.Background(), search.next(), admin.Cursor{}, admin.PageSize, now)
				return err
			})
		})
	}
}

// BenchmarkSortedSearch is one page of 50 in every order, from the first page on and from
// a place in the middle, and the number of hits of the same filter.
func BenchmarkSortedSearch(b *testing.B) {
	db, ctx, now := opened(b, seededDatabase(b)), context.Background(), time.Now()
	for _, state := range []admin.State{"", admin.Working, admin.Expiring, admin.Expired, admin.Superseded, admin.Revoked} {
		f := admin.Filter{State: state, Days: 60}
		b.Run(fmt.Sprintf("count/%s", state), func(b *testing.B) {
			measured(b, func() error { _, err := db.CountCertificates(ctx, f, now); return err })
		})
		for _, sort := range f.CertificateSorts() {
			f.Sort = sort
			from := admin.Cursor{}
			b.Run(fmt.Sprintf("certificates/%s/%s", state, sort), func(b *testing.B) {
				measured(b, func() error {
					found, err := db.Certificates(ctx, f, from, admin.PageSize, now)
					from = found.Next
					return err
				})
			})
		}
	}
	for _, sort := range (admin.Filter{}).DeviceSorts() {
		from := admin.Cursor{}
		b.Run(fmt.Sprintf("devices/%s", sort), func(b *testing.B) {
			measured(b, func() error {
				found, err := db.SearchDevices(ctx, admin.Filter{Sort: sort}, from, admin.PageSize, now)
				from = found.Next
				return err
			})
		})
	}
	for name, f := range map[string]admin.Filter{"name": {Person: "an"}, "name-and-nothing": {Person: "a", State: admin.Pending}, "device": {Device: "anna"}} {
		b.Run("count/"+name, func(b *testing.B) {
			measured(b, func() error { _, err := db.CountCertificates(ctx, f, now); return err })
		})
	}
	b.Run("count/devices", func(b *testing.B) {
		measured(b, func() error { _, err := db.CountDevices(ctx, admin.Filter{State: admin.Working}, now); return err })
	})
}

// prefix is the first letters of a text.
func prefix(s string, n int) string {
	letters := []rune(s)
	return string(letters[:min(n, len(letters))])
}

// sampled picks rows from all over the serials.
func sampled(b *testing.B, db admin.Store, now time.Time) []admin.Certificate {
	b.Helper()
	var all []admin.Certificate
	for i := range 200 {
		f := admin.Filter{Serial: fmt.Sprintf("%02x%02x", 0x40+i%0x40, rand.IntN(256))}
		found, err := db.Certificates(context.Background(), f, admin.Cursor{}, 20, now)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, found.Rows...)
	}
	if len(all) < 100 {
		b.Fatalf("the database holds too little: %d rows", len(all))
	}
	return all
}

// measured runs the benchmark and reports the median and the 99th percentile.
func measured(b *testing.B, once func() error) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if err := once(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkAdminStats counts for the overview.
func BenchmarkAdminStats(b *testing.B) {
	db := opened(b, seededDatabase(b))
	measured(b, func() error {
		_, err := db.AdminStats(context.Background(), time.Now(), admin.NewStatsSince(time.Now(), time.UTC))
		return err
	})
}

// BenchmarkAuthorityHolders counts for the page of the CAs.
func BenchmarkAuthorityHolders(b *testing.B) {
	db := opened(b, seededDatabase(b))
	measured(b, func() error {
		_, err := db.AuthorityHolders(context.Background(), time.Now())
		return err
	})
}

// BenchmarkExport reads every certificate, as an export does.
func BenchmarkExport(b *testing.B) {
	db := opened(b, seededDatabase(b))
	measured(b, func() error {
		var from admin.Cursor
		for {
			found, err := db.Certificates(context.Background(), admin.Filter{}, from, 1000, time.Now())
			if err != nil || found.Next == (admin.Cursor{}) {
				return err
			}
			from = found.Next
		}
	})
}
