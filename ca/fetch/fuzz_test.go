package fetch

import (
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// The file of an issuer may be anything.
func FuzzCertificates(f *testing.F) {
	h := testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, time.Now()))(f)
	message := testkit.Must(ca.PKCS7(h.Root, h.Issuing))(f)
	f.Add(h.Root.Raw)
	f.Add(ca.PEM(h.Root, h.Issuing))
	f.Add(message)
	f.Add([]byte("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80"))
	f.Fuzz(func(t *testing.T, body []byte) {
		certs, _, err := parseCertificates(body)
		if (err == nil) != (len(certs) > 0) {
			t.Errorf("got %d certificates and %v", len(certs), err)
		}
		for _, cert := range certs {
			if cert == nil || cert.Raw == nil {
				t.Error("a certificate is nil")
			}
		}
	})
}
