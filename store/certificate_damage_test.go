package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// TestF11_DamagedComparesListsWithTheirRows changes what the rows of signed CRLs say.
func TestF11_DamagedComparesListsWithTheirRows(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		h := fixture.Hierarchy(t, ca.ECP256)
		issuer := fixture.Issuer(t, h)
		sign := func(l crl.List) crl.List {
			cfg := ca.CRLConfig{
				Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, NextPublish: l.Published.Add(time.Minute),
			}
			if l.Base > 0 {
				cfg.Base = big.NewInt(l.Base)
			}
			l.DER = testkit.Must(issuer.CRL(cfg))(t)
			return l
		}
		damaged := func() []string {
			t.Helper()
			return testkit.Must(db.Damaged(t.Context(), store.Checks{
				Signed: func(string, *x509.Certificate) bool { return true }, List: func(l crl.List) error { return l.Verify(h.Issuing) },
			}, 10))(t).Damaged
		}
		// A row has milliseconds, a list has not.
		now := testkit.Noon.Add(123 * time.Millisecond)
		turn := take(t, db, "a", now)
		base := sign(listOf(turn, now))
		testkit.NoError(t, db.Publish(t.Context(), turn, base))
		turn = take(t, db, "a", now)
		delta := sign(deltaOf(turn, base, now))
		testkit.NoError(t, db.Publish(t.Context(), turn, delta))
		testkit.Equal(t, "as published", len(damaged()), 0)
		for _, c := range []struct {
			there, back string
			number      int64
			said        string
		}{
			{"next_update = next_update + 60000", "next_update = next_update - 60000", base.Number, "nextUpdate"},
			{"this_update = this_update - 1000", "this_update = this_update + 1000", base.Number, "thisUpdate"},
			{"number = number + 100", "number = number - 100", base.Number, "number"},
			{"base = base - 1", "base = base + 1", delta.Number, "base"},
		} {
			where := fmt.Sprintf(" WHERE number IN (%d, %d)", c.number, c.number+100)
			testkit.Must(db.plain.Exec("UPDATE crls SET " + c.there + where))(t)
			found := damaged()
			if len(found) != 1 {
				t.Fatalf("%s: found %q", c.there, found)
			}
			testkit.Contains(t, c.there, found[0], c.said)
			testkit.Must(db.plain.Exec("UPDATE crls SET " + c.back + where))(t)
		}
		testkit.Equal(t, "put back", len(damaged()), 0)
	})
}

// TestF11_DamagedAsksTheCAOfTheRow: a certificate is verified with the CA that its row names.
func TestF11_DamagedAsksTheCAOfTheRow(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		damaged := func() string {
			t.Helper()
			return fmt.Sprint(testkit.Must(db.Damaged(t.Context(), store.Checks{
				Signed: func(issuer string, _ *x509.Certificate) bool { return issuer == "issuing" }, List: func(crl.List) error { return nil },
			}, 10))(t).Damaged)
		}
		before := damaged()
		off := "DROP TRIGGER certificates_keep_their_authority ON certificates"
		if db.dialect == goose.DialectSQLite3 {
			off = "DROP TRIGGER certificates_keep_their_authority"
		}
		for _, statement := range []string{off, "UPDATE certificates SET authority = 'issuing-2' WHERE serial = '" + e.Serial().String() + "'"} {
			testkit.Must(db.plain.Exec(statement))(t)
		}
		if strings.Contains(before, "did not sign") {
			t.Errorf("before: %s", before)
		}
		testkit.Contains(t, "of another CA", damaged(), e.Serial().String()+`: the CA "issuing-2" of its row did not sign`)
	})
}

// TestC2_DamagedLintsWhatIsStored puts a certificate in the place of another that its CA signed as
// well, for the same key, account and time, with a host name beside the person.
func TestC2_DamagedLintsWhatIsStored(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		p := fixture.NewPortalAt(t, testkit.NewClock(), db.address)
		linter := testkit.Must(ca.NewStoredLinter())(t)
		found := func() store.Damage {
			t.Helper()
			return testkit.Must(p.DB.Damaged(t.Context(), store.Checks{
				Signed: func(_ string, cert *x509.Certificate) bool {
					return cert.CheckSignatureFrom(p.Hierarchy.Issuing) == nil
				},
				Lint: func(_ string, cert *x509.Certificate) error { return linter.Check(cert, p.Hierarchy.Issuing) },
				List: func(crl.List) error { return nil },
			}, 10))(t)
		}
		serial := p.MustEnroll(p.Add("anna", fixture.SIDPrefix+"1101"), "phone", "token").Serial.String()
		testkit.Equal(t, "as issued", fmt.Sprint(found()), "{[] []}")

		var stored []byte
		testkit.NoError(t, db.plain.QueryRow("SELECT der FROM certificates WHERE serial = $1", serial).Scan(&stored))
		cert := testkit.Must(x509.ParseCertificate(stored))(t)
		dirty := *cert
		dirty.ExtraExtensions = slices.Clone(cert.Extensions)
		for i, e := range dirty.ExtraExtensions {
			if e.Id.String() == "2.5.29.17" { // one more name at the end of the list, and its length
				e.Value = append(slices.Clone(e.Value), 0x82, 2, 'd', 'c')
				e.Value[1] += 4
				dirty.ExtraExtensions[i] = e
			}
		}
		der := testkit.Must(x509.CreateCertificate(rand.Reader, &dirty, p.Hierarchy.Issuing, cert.PublicKey, p.Hierarchy.IssuingKey))(t)
		testkit.Must(db.plain.Exec("UPDATE certificates SET der = $1 WHERE serial = $2", der, serial))(t)
		got := found()
		testkit.Equal(t, "damaged", len(got.Damaged), 0)
		testkit.Equal(t, "unlawful", len(got.Unlawful), 1)
		for _, want := range []string{"certificate " + serial, `of CA "issuing"`, "san-nothing-else"} {
			testkit.Contains(t, "unlawful", fmt.Sprint(got.Unlawful), want)
		}
	})
}

// TestDamagedReadsInPages checks each of 2,100 certificates once, in three pages, while no read is
// open. Their rows say another key.
func TestDamagedReadsInPages(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		const certificates = 2100
		insertSelfSigned(t, db.plain, certificates)
		seen := make(map[string]int)
		found := testkit.Must(db.Damaged(t.Context(), store.Checks{
			Signed: func(_ string, cert *x509.Certificate) bool {
				seen[cert.SerialNumber.String()]++
				if len(seen) == 1 || len(seen) == certificates/2 {
					testkit.Equal(t, "reads that are open", openReads(t, db), 0)
				}
				return true
			},
			List: func(crl.List) error { return nil },
		}, 2*certificates))(t)
		testkit.Equal(t, "certificates seen", len(seen), certificates)
		testkit.Equal(t, "findings", len(found.Damaged), certificates)
		for _, one := range found.Damaged {
			testkit.Contains(t, "finding", one, "is for another key")
		}
	})
}

// insertSelfSigned inserts certificates of a server.
func insertSelfSigned(t *testing.T, plain *sql.DB, count int) {
	t.Helper()
	key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	tx := testkit.Must(plain.Begin())(t)
	defer tx.Rollback()
	for range count {
		serial := fixture.NewSerial(t)
		cert := &x509.Certificate{SerialNumber: serial.Big(), NotBefore: testkit.Noon, NotAfter: testkit.Noon.Add(time.Hour)}
		der := testkit.Must(x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key))(t)
		hash := sha256.Sum256(der)
		testkit.Must(tx.Exec(`INSERT INTO certificates (serial, issuer, kind, profile, status, upn, sid, mail, key_hash, not_before, not_after, requested_at, der)
			VALUES ($1, 'issuing', 'server', 'server', 'issued', '', '', '', $2, $3, $4, $3, $5)`,
			serial.String(), hash[:], cert.NotBefore.UnixMilli(), cert.NotAfter.UnixMilli(), der))(t)
	}
	testkit.NoError(t, tx.Commit())
}

// openReads is 0 when no read is open: then SQLite can reset its write-ahead log. PostgreSQL has sent
// a result of this size before it is read, so that nothing shows there.
func openReads(t *testing.T, db *database) (open int) {
	t.Helper()
	if db.dialect != goose.DialectSQLite3 {
		return 0
	}
	var pages, moved int
	testkit.NoError(t, db.plain.QueryRow("PRAGMA wal_checkpoint(RESTART)").Scan(&open, &pages, &moved))
	return open
}
