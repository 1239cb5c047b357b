package fetch_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/internal/test/testkit"
)

// company is the root of a company with a CA below it, and a web server for its files.
type company struct {
	t       testing.TB
	server  *httptest.Server
	files   map[string][]byte // by path
	root    *x509.Certificate
	key     crypto.Signer
	issuing *x509.Certificate
}

var (
	oidCDP = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidIDP = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// newCompany makes a CA certificate that names distribution points, each with the paths
// or addresses of its list.
func newCompany(t testing.TB, points ...[]string) *company {
	c := &company{t: t, files: map[string][]byte{}, key: testkit.ECKey(t)}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := c.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(file)
	}))
	t.Cleanup(c.server.Close)
	c.root = c.certificate(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Company Root"}, SubjectKeyId: []byte{1, 2, 3},
	}, nil, c.key.Public())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "Portal"}, SubjectKeyId: []byte{4},
		IssuingCertificateURL: []string{c.server.URL + "/root.cer"},
	}
	if len(points) > 0 {
		template.ExtraExtensions = []pkix.Extension{{Id: oidCDP, Value: c.encode(func(b *cryptobyte.Builder) {
			for _, paths := range points {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { c.addName(b, paths) })
			}
		})}}
	}
	c.issuing = c.certificate(template, c.root, testkit.ECKey(t).Public())
	c.files["/root.cer"] = c.root.Raw
	return c
}

func (c *company) certificate(template, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	c.t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(10, 0, 0)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if parent == nil {
		parent = template
	}
	raw := testkit.Must(x509.CreateCertificate(rand.Reader, template, parent, pub, c.key))(c.t)
	return testkit.Must(x509.ParseCertificate(raw))(c.t)
}

func (c *company) encode(content func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, content)
	return testkit.Must(b.Bytes())(c.t)
}

func tag(n uint8) der.Tag { return der.Tag(n).ContextSpecific() }

// url completes a path.
func (c *company) url(path string) string {
	if path[0] == '/' {
		return c.server.URL + path
	}
	return path
}

// addName writes a distributionPoint with the addresses.
func (c *company) addName(b *cryptobyte.Builder, paths []string) {
	b.AddASN1(tag(0).Constructed(), func(b *cryptobyte.Builder) {
		b.AddASN1(tag(0).Constructed(), func(b *cryptobyte.Builder) {
			for _, path := range paths {
				b.AddASN1(tag(6), func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.url(path))) })
			}
		})
	})
}

// scope is an IssuingDistributionPoint.
func (c *company) scope(paths []string, more func(*cryptobyte.Builder)) pkix.Extension {
	return pkix.Extension{Id: oidIDP, Critical: true, Value: c.encode(func(b *cryptobyte.Builder) {
		if len(paths) > 0 {
			c.addName(b, paths)
		}
		if more != nil {
			more(b)
		}
	})}
}

// flag is a BOOLEAN field of an IssuingDistributionPoint.
func flag(n uint8) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) { b.AddASN1(tag(n), func(b *cryptobyte.Builder) { b.AddUint8(0xff) }) }
}

// reasons are the flags of onlySomeReasons, the first octet and the second.
func reasons(first, second byte) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddASN1(tag(3), func(b *cryptobyte.Builder) { b.AddBytes([]byte{7, first, second}) })
	}
}

// list signs a list of the root, changed by the test.
func (c *company) list(change func(*x509.RevocationList)) []byte {
	c.t.Helper()
	template := &x509.RevocationList{Number: big.NewInt(5), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)}
	if change != nil {
		change(template)
	}
	return testkit.Must(x509.CreateRevocationList(rand.Reader, template, c.root, c.key))(c.t)
}

// with adds extensions to a list.
func with(extensions ...pkix.Extension) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ExtraExtensions = extensions }
}

// revoked lists the issuing CA for a reason.
func (c *company) revoked(reason int) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{
			{SerialNumber: big.NewInt(5), RevocationTime: time.Now()},
			{SerialNumber: c.issuing.SerialNumber, RevocationTime: time.Now(), ReasonCode: reason},
		}
	}
}

// delta makes a list one that adds to another.
func delta(base int64) pkix.Extension {
	var b cryptobyte.Builder
	b.AddASN1Int64(base)
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: b.BytesOrPanic()}
}

// freshest names the delta list.
func (c *company) freshest(paths ...string) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: c.encode(func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { c.addName(b, paths) })
	})}
}
