package store_test

import (
	"context"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// disposable is the address of a copy of a database that "certportal seed" filled.
func disposable(b *testing.B) string {
	b.Helper()
	address := os.Getenv("DISPOSABLE_DATABASE")
	if address == "" {
		b.Skip("DISPOSABLE_DATABASE names no copy of a database filled by certportal seed")
	}
	return address
}

// BenchmarkMassRevocation revokes 100,000 certificates in one bulk revocation and
// builds the CRL that names them. It changes the database it is given:
// DISPOSABLE_DATABASE.
func BenchmarkMassRevocation(b *testing.B) {
	const many = 100_000
	db := opened(b, disposable(b))
	ctx, now := context.Background(), time.Now()
	issuer := benchmarkIssuer(b, now)
	for b.Loop() {
		began := time.Now()
		id := "bench" + strings.ReplaceAll(began.Format("150405.000000"), ".", "")
		err := db.AddBulk(ctx, admin.BulkRevocation{
			ID: id, State: admin.Gathering, Filter: "status=working", Maker: "ada", Role: "admin", Made: now, Expires: now.Add(time.Hour),
		}, fixture.NewEntry(testkit.Noon, audit.BulkMade, "ada"))
		if err != nil {
			b.Fatal(err)
		}
		gatherMany(b, db, id, many, now)
		gathered := time.Since(began)
		err = db.TransitionBulk(ctx, admin.BulkTransition{
			ID: id, From: admin.Draft, To: admin.Running, At: now, Entry: fixture.NewEntry(testkit.Noon, audit.BulkConfirmed, "ada"),
			Grounds: admin.Grounds{Cause: portal.Withdrawn, Comment: "benchmark"},
		})
		if err != nil {
			b.Fatal(err)
		}
		ended := 0
		for more := true; more; {
			var n int
			if n, more, err = db.RevokeBulkItems(ctx, id, 200, now); err != nil {
				b.Fatal(err)
			}
			ended += n
		}
		revoked := time.Since(began) - gathered
		octets := benchmarkList(b, db, issuer, now)
		if ended != many {
			b.Fatalf("ended %d", ended)
		}
		b.ReportMetric(float64(octets)/1e6, "list-MB")
		b.ReportMetric(gathered.Seconds(), "gathering-s")
		b.ReportMetric(revoked.Seconds(), "revoking-s")
		b.ReportMetric((time.Since(began) - gathered - revoked).Seconds(), "list-s")
	}
}

func gatherMany(b *testing.B, db admin.Store, id string, many int, now time.Time) {
	b.Helper()
	var from admin.Cursor
	for gathered := 0; gathered < many; {
		found, err := db.Certificates(context.Background(), admin.Filter{State: admin.Working}, from, min(1000, many-gathered), now)
		if err != nil {
			b.Fatal(err)
		}
		var serials []ca.Serial
		for _, c := range found.Rows {
			serials = append(serials, c.Serial)
		}
		gathered += len(serials)
		next := found.Next
		if gathered >= many {
			next = admin.Cursor{}
		} else if next == (admin.Cursor{}) {
			b.Fatalf("only %d certificates work", gathered)
		}
		if err := db.AddBulkItems(context.Background(), id, from, serials, next); err != nil {
			b.Fatal(err)
		}
		from = next
	}
}

func benchmarkIssuer(b *testing.B, now time.Time) *ca.Issuer {
	b.Helper()
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Bench", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, now.Add(-time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	if err != nil {
		b.Fatal(err)
	}
	return issuer
}

// benchmarkList builds and publishes the next CRL, and returns its length.
func benchmarkList(b *testing.B, db crl.Store, issuer *ca.Issuer, now time.Time) int {
	b.Helper()
	ctx := context.Background()
	turn := take(b, db, "bench", now)
	revoked := revokedBetween(b, db, 0, turn.Through, now.Add(-life))
	list := listOf(turn, now)
	list.ThisUpdate = now // not before what was revoked now
	var err error
	list.DER, err = issuer.CRL(ca.CRLConfig{
		Number: big.NewInt(turn.Number), ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, Revoked: revoked,
	})
	if err == nil {
		err = db.Publish(ctx, turn, list)
	}
	if err != nil {
		b.Fatal(err)
	}
	return len(list.DER)
}
