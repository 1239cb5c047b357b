package enroll_test

import (
	"bytes"
	"crypto/x509"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/auditmonitor"
	"certportal/internal/enroll"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// damagedPortal is a portal that stopped, with its database checkpointed into one file.
type damagedPortal struct {
	*testPortal
	content []byte
	whole   string // what must not change unseen
	tokens  map[enroll.Token][]byte
}

// protected are the rows of certificates, revocations and the audit log, without what the portal
// only notes beside them: when a file was fetched, and when an overlap ends.
var protected = []string{
	"SELECT serial, issuer, kind, status, upn, sid, hex(key_hash), not_before, not_after, revoked_at, reason_code, hex(der), authority FROM certificates ORDER BY serial",
	"SELECT issuer, seq, serial, revoked_at, reason_code, not_after, authority FROM revocations ORDER BY seq",
	"SELECT seq, at, action, actor, role, person, object, address, request, detail, hex(prev), hex(hash), node FROM ledger ORDER BY seq",
	"SELECT issuer, delta, number, base, this_update / 1000, next_update / 1000, hex(der) FROM crls ORDER BY number",
}

// ranAndStopped issues twenty certificates, revokes five and publishes a list.
func ranAndStopped(t *testing.T) *damagedPortal {
	d := &damagedPortal{testPortal: newPortal(t, func(c *enroll.Config) { c.Quota = 100 }), tokens: map[enroll.Token][]byte{}}
	lists := testkit.Must(crl.New(crl.Config{
		Store: d.DB, Now: d.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Authorities: []crl.Authority{{Name: "issuing", Life: crl.DefaultLife, Renew: crl.DefaultRenew, Issuer: func() (*ca.Issuer, error) { return d.Issuer, nil }}},
	}))(t)
	for n := range 20 {
		e := d.enroll(fmt.Sprint("phone ", n), fmt.Sprint(n))
		if n%4 == 3 {
			testkit.NoError(t, d.Remove(t.Context(), d.actor(), e.Device))
			continue
		}
		d.tokens[d.token(e)] = testkit.Must(d.OpenFile(t.Context(), d.token(e)))(t).Leaf.Raw
	}
	testkit.NoError(t, lists.Refresh(t.Context()))
	testkit.NoError(t, d.DB.Close())
	plain := testkit.Must(sql.Open("sqlite", d.Path))(t)
	testkit.Must(plain.Exec("PRAGMA wal_checkpoint(TRUNCATE)"))(t)
	testkit.NoError(t, plain.Close())
	d.content = testkit.Must(os.ReadFile(d.Path))(t)
	d.whole = testkit.Must(rowsOf(d.Path))(t)
	return d
}

// rowsOf reads what is protected, past the store.
func rowsOf(path string) (string, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var all strings.Builder
	for _, query := range protected {
		rows, err := db.Query(query)
		if err != nil {
			return "", err
		}
		columns, _ := rows.Columns()
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return "", err
			}
			fmt.Fprintln(&all, values...)
		}
		if err := rows.Err(); err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// TestF11_AFlippedByteIsFoundOrHarmless flips one byte of a database, 50 times, 1,000 in long
// tests. A portal delivers the certificates that were signed or none, and "audit verify
// --certificates" finds what changed certificates, revocations, the audit log and lists.
func TestF11_AFlippedByteIsFoundOrHarmless(t *testing.T) {
	d := ranAndStopped(t)
	testkit.NoError(t, d.verify(t, d.Path))
	lot := rand.New(rand.NewPCG(11, 11))
	found, changed := 0, 0
	for n := range testkit.Either(t, 50, 1000) {
		path := filepath.Join(t.TempDir(), "portal.db")
		at, bit := lot.IntN(len(d.content)), byte(1<<lot.IntN(8))
		content := bytes.Clone(d.content)
		content[at] ^= bit
		testkit.NoError(t, os.WriteFile(path, content, 0o600))
		rows, err := rowsOf(path)
		differs := err != nil || rows != d.whole
		damage := d.verify(t, path)
		if differs {
			changed++
		}
		if damage != nil {
			found++
		}
		if differs && damage == nil {
			t.Errorf("flip %d, byte %d, bit %#x: not found: %s", n, at, bit, firstDifference(d.whole, rows))
		}
		d.deliver(t, path)
		testkit.NoError(t, os.RemoveAll(filepath.Dir(path)))
	}
	t.Logf("%d flips changed what is protected or cannot be read, %d were found", changed, found)
}

func firstDifference(a, b string) string {
	lines := strings.Split(b, "\n")
	for i, line := range strings.Split(a, "\n") {
		if i >= len(lines) || lines[i] != line {
			return fmt.Sprintf("line %d: %.300s", i, line)
		}
	}
	return "none"
}

// verify does what the command does.
func (d *damagedPortal) verify(t *testing.T, path string) error {
	db, err := store.Open(t.Context(), store.Config{URL: path, Secret: fixture.Secret(), AsIs: true})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CheckPages(t.Context()); err != nil {
		return err
	}
	report, err := auditmonitor.Verify(t.Context(), db, auditmonitor.Options{})
	if err != nil {
		return err
	}
	if report.Broken != nil {
		return report.Broken
	}
	differ, err := db.Mismatches(t.Context(), 5)
	if err != nil {
		return err
	}
	if len(differ) > 0 {
		return differ[0]
	}
	issuing := d.Hierarchy.Issuing
	found, err := db.Damaged(t.Context(), store.Checks{
		Signed: func(issuer string, c *x509.Certificate) bool {
			return issuer == "issuing" && c.CheckSignatureFrom(issuing) == nil
		},
		List: func(l crl.List) error {
			if l.Issuer != "issuing" {
				return fmt.Errorf("no issuer %q", l.Issuer)
			}
			return l.Verify(issuing)
		},
	}, 5)
	if err == nil && len(found.Damaged) > 0 {
		err = fmt.Errorf("%s", found.Damaged[0])
	}
	return err
}

// deliver asks for every file.
func (d *damagedPortal) deliver(t *testing.T, path string) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: path, Secret: fixture.Secret()})
	if err != nil {
		return // such a portal does not start
	}
	defer db.Close()
	r := d.NewRegistrar(func(c *enroll.Config) { c.Store = db })
	for token, want := range d.tokens {
		if f, err := r.OpenFile(t.Context(), token); err == nil && !bytes.Equal(f.Leaf.Raw, want) {
			t.Errorf("%s: another certificate than the signed one is delivered", path)
		}
	}
}
