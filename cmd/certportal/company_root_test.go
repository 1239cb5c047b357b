package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/app"
	"certportal/internal/deliver"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestUnderACompanysRoot goes the whole way with real CAs: request, signature, import,
// start, a person's certificate, and its chain in the programs of others.
func TestUnderACompanysRoot(t *testing.T) {
	for _, test := range []struct {
		name    string
		company func(*testing.T, string, string) company
	}{{"OpenSSL", opensslCompany}, {"GnuTLS", gnutlsCompany}} {
		t.Run(test.name, func(t *testing.T) {
			u := newUnderRoot(t, test.company)
			shown := shownJSON(t, u.data)
			if shown.OwnRoot || len(shown.Authorities) != 1 || len(shown.Authorities[0].Chain) != u.between+1 ||
				len(shown.Requests) != 0 || len(shown.Lists) != 1 || shown.Lists[0].Number == 0 {
				t.Errorf("shown: %+v", shown)
			}
			for _, args := range [][]string{{"ca", "crl", "--issuer", "root"}, {"ca", "export-root-key", "--to", filepath.Join(u.dir, "x")}} {
				if r := certportal(t, "", append([]string{"--data", u.data}, args...)...); r.code == exitDone || !strings.Contains(r.err, "company's") {
					t.Errorf("%v: exit %d, %s", args, r.code, r.err)
				}
			}
			if out := mustRun(t, "--data", u.data, "ca", "crl"); strings.Contains(out, "root") || !strings.Contains(out, "of issuing") {
				t.Errorf("ca crl prints %s", out)
			}
			u.open(t)
			if chain := u.Registrar.Chain(nil); len(chain) != u.between+1 {
				t.Errorf("chain of %d, want %d", len(chain), u.between+1)
			}
			if _, there, err := u.DB.Latest(t.Context(), "root", false, 0); err != nil || there {
				t.Errorf("a list of the company's root: %t, %v", there, err)
			}
			kept, lost := u.deliver(t, "Kept"), u.deliver(t, "Lost")
			u.lose(t, lost)
			other := &underRoot{data: t.TempDir()}
			mustRun(t, "--data", other.data, "ca", "init")
			other.open(t)
			u.wantVerdicts(t,
				claim{"kept", kept.leaf, u.Registrar.Chain(nil), ""}, claim{"lost", lost.leaf, u.Registrar.Chain(nil), revoked},
				claim{"of another company", other.deliver(t, "Phone").leaf, other.Registrar.Chain(nil), unknownIssuer})
		})
	}
}

// underRoot is a portal below a company's CA.
type underRoot struct {
	company
	data, dir string

	*app.App // when open
	person   portal.PersonID
}

// newUnderRoot makes a portal by its commands.
func newUnderRoot(t *testing.T, sign func(*testing.T, string, string) company) *underRoot {
	t.Helper()
	u := &underRoot{data: t.TempDir(), dir: t.TempDir()}
	csr := filepath.Join(u.dir, "phones.csr")
	mustRun(t, "--data", u.data, "ca", "csr", "--out", csr, "--subject", "CN=Corp Phones CA,O=Corp")
	u.company = sign(t, u.dir, csr)
	args := []string{"--data", u.data, "ca", "import", "--cert", u.cert, "--chain", u.company.chain}
	if out := mustRun(t, args...); !strings.Contains(out, "Imported CN=Corp Phones CA,O=Corp as issuing") {
		t.Errorf("import prints %s", out)
	}
	if r := certportal(t, "", args...); r.code != exitFailed || !strings.Contains(r.err, "imported already") {
		t.Errorf("second import: exit %d, %s", r.code, r.err)
	}
	return u
}

// open starts the portal, with one person.
func (u *underRoot) open(t *testing.T) {
	t.Helper()
	mustRun(t, "--data", u.data, "user", "add", "anna", "--upn", "anna@corp.example")
	u.App = testkit.Must(openApp(t, u.data))(t)
	accounts := testkit.Must(u.Builtin.Accounts(t.Context()))(t)
	testkit.Equal(t, "accounts", len(accounts), 1)
	u.person = accounts[0].ID
}

// delivered is a certificate with the file that a phone gets.
type delivered struct {
	enroll.Enrolment
	leaf     *x509.Certificate
	file     []byte
	password string
}

func (u *underRoot) deliver(t *testing.T, device string) delivered {
	t.Helper()
	by, key := portal.Actor{Person: u.person, Role: portal.Employee}, enroll.PickupKey{1}
	done := testkit.Must(u.Registrar.Enroll(t.Context(), enroll.Request{
		By: by, Name: device, Platform: portal.Android, Idempotent: device, PickupKey: key,
	}))(t)
	f := testkit.Must(u.Registrar.OpenFile(t.Context(), key.Token(done.Serial)))(t)
	file := testkit.Must(deliver.PKCS12(deliver.Bundle{
		Key: f.Key, Leaf: f.Leaf, Chain: f.Chain, Name: f.Device.Name, Password: f.Password, Format: deliver.FormatLegacy,
	}))(t)
	return delivered{done, f.Leaf, file, f.Password}
}

func (u *underRoot) lose(t *testing.T, d delivered) {
	t.Helper()
	by := portal.Actor{Person: u.person, Role: portal.Employee}
	testkit.NoError(t, u.Registrar.Block(t.Context(), by, enroll.Block{Person: u.person, Device: d.Device, Cause: portal.Lost}))
}

// allLists are the lists of all CAs, each in PEM, the portal's own as it is now.
func (u *underRoot) allLists(t *testing.T) []string {
	t.Helper()
	mustRun(t, "--data", u.data, "ca", "crl", "--publish")
	file := filepath.Join(t.TempDir(), "issuing.crl")
	mustRun(t, "--data", u.data, "ca", "crl", "--pem", "--out", file)
	return append(slices.Clone(u.lists), string(testkit.Must(os.ReadFile(file))(t)))
}
