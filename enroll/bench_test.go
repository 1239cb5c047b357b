package enroll_test

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/directory"
	"certportal/enroll"
	"certportal/ledger"
	"certportal/store"
)

// benchHouse is a registrar on a SQLite file on the disk of this checkout, not
// in a memory file system: durable means durable.
func benchHouse(b *testing.B, issuing, leaf ca.KeyKind, ready int) (*enroll.Registrar, *enroll.KeyPool, enroll.By) {
	b.Helper()
	ctx, log := b.Context(), slog.New(slog.DiscardHandler)
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp(".", "bench-*")
	check(err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	db, err := store.Open(ctx, store.Config{URL: filepath.Join(dir, "portal.db")})
	check(err)
	b.Cleanup(func() { db.Close() })
	people, err := directory.NewBuiltin(db)
	check(err)
	anna, err := people.Add(ctx, directory.NewAccount{
		Login: "anna", UPN: "anna@corp.example", Mail: "anna@corp.example", Password: password,
		SID: "S-1-5-21-1004336348-1177238915-682003330-1101",
	}, ledger.Entry{At: time.Now(), Actor: "bench"})
	check(err)
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: issuing}, time.Now())
	check(err)
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	check(err)
	profile, err := ca.NewProfile(ca.ProfileConfig{Name: "User", CRLURLs: []string{"http://pki.example/crl/issuing.crl"}})
	check(err)
	pool := enroll.NewKeyPool(leaf, ready, log)
	r, err := enroll.New(enroll.Config{
		Directory: people, Issuer: issuer, Profile: profile, Keys: pool, Records: db, Inventory: db, Pickups: db,
		Chain: []*x509.Certificate{h.Issuing}, Quota: 1 << 30, Log: log,
	})
	check(err)
	return r, pool, enroll.By{Person: anna.ID}
}

// BenchmarkGenerateRSA2048 is what no portal can avoid.
func BenchmarkGenerateRSA2048(b *testing.B) {
	for b.Loop() {
		if _, err := ca.RSA2048.Generate(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnrollBeyondTheKey is all other work of an enrolment with RSA 2048
// and an RSA 3072 issuing CA: the keys wait in the pool.
func BenchmarkEnrollBeyondTheKey(b *testing.B) {
	const ready = 64
	r, pool, by := benchHouse(b, ca.RSA3072, ca.RSA2048, ready)
	go pool.Run(b.Context())
	n := 0
	for b.Loop() {
		if pool.Ready() == 0 {
			b.StopTimer()
			for pool.Ready() < ready {
				time.Sleep(10 * time.Millisecond)
			}
			b.StartTimer()
		}
		n++
		enrolOnce(b, r, by, n)
	}
}

// BenchmarkEnrollEC issues P-256 certificates from a P-256 CA, durable in SQLite,
// from as many clients as there are processors times four.
func BenchmarkEnrollEC(b *testing.B) {
	r, _, by := benchHouse(b, ca.ECP256, ca.ECP256, 0)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			enrolOnce(b, r, by, int(n.Add(1)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
}

func enrolOnce(b *testing.B, r *enroll.Registrar, by enroll.By, n int) {
	_, err := r.Enroll(b.Context(), enroll.Request{
		By: by, Name: fmt.Sprint("phone ", n), Platform: enroll.Android, Idempotent: fmt.Sprint("form ", n),
	})
	if err != nil {
		b.Fatal(err)
	}
}
