package enroll_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// benchPortal is a registrar on a SQLite file on the disk of this checkout, not
// in a memory file system: durable means durable.
func benchPortal(b *testing.B, issuing, leaf ca.KeyKind, ready int) (*enroll.Registrar, *enroll.KeyPool) {
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
	for i := range benchPeople {
		login := fmt.Sprint("person", i)
		check(db.AddAccount(ctx, portal.Account{PasswordHash: "none", Person: portal.Person{
			ID: portal.PersonID(login), Login: login, UPN: login + "@corp.example", Mail: login + "@corp.example",
			SID: fmt.Sprint("S-1-5-21-1004336348-1177238915-682003330-", 1000+i), MayEnroll: true,
		}}, audit.Entry{At: time.Now(), Action: audit.AccountAdded, Actor: "bench"}))
	}
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: issuing}, time.Now())
	check(err)
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: fixture.Publication()})
	check(err)
	profile, err := ca.NewProfile(ca.ProfileConfig{Name: "User"})
	check(err)
	pool := enroll.NewKeyPool(leaf, ready, log)
	r, err := enroll.New(enroll.Config{
		Directory: people, Issuer: issuer, Profile: profile, Keys: pool, Store: db,
		Chain: fixture.Chain(h), Quota: 1 << 30, Log: log,
	})
	check(err)
	return r, pool
}

// benchPeople share the load: one person has a handful of devices, not hundreds.
const benchPeople = 400

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
	r, pool := benchPortal(b, ca.RSA3072, ca.RSA2048, ready)
	// The pool is filled between the rounds, never beside the work that counts.
	fill := func() {
		ctx, stop := context.WithCancel(b.Context())
		done := make(chan struct{})
		go func() { defer close(done); pool.Run(ctx) }()
		for pool.Ready() < ready {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		<-done
	}
	n := 0
	for b.Loop() {
		if pool.Ready() == 0 {
			b.StopTimer()
			fill()
			b.StartTimer()
		}
		n++
		enrolOnce(b, r, n)
	}
}

// BenchmarkEnrollEC issues P-256 certificates from a P-256 CA, durable in SQLite,
// from as many clients as there are processors times four.
func BenchmarkEnrollEC(b *testing.B) {
	r, _ := benchPortal(b, ca.ECP256, ca.ECP256, 0)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			enrolOnce(b, r, int(n.Add(1)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
}

func enrolOnce(b *testing.B, r *enroll.Registrar, n int) {
	_, err := r.Enroll(b.Context(), enroll.Request{
		By: portal.Actor{Person: portal.PersonID(fmt.Sprint("person", n%benchPeople))}, Name: fmt.Sprint("phone ", n), Platform: portal.Android, Idempotent: fmt.Sprint("form ", n),
	})
	if err != nil {
		b.Fatal(err)
	}
}
