package web

import (
	"errors"
	"testing"
)

// FuzzCertificateHeader: a header that is no certificate is an error, and nothing else.
func FuzzCertificateHeader(f *testing.F) {
	for _, seed := range []string{"", "(null)", ":MIIB:", "%2D", "-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE-----", "MIIB"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		cert, err := certificateIn([]string{value})
		if (cert == nil) != (err != nil) {
			t.Errorf("%v with %v", cert, err)
		}
		if err != nil && !errors.Is(err, errNoCertificate) && !errors.Is(err, errCertificateHeader) {
			t.Errorf("another error: %v", err)
		}
	})
}
