package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// asks sends a request to an address, as a mail server does, and gives the answer.
func asks(t *testing.T, c *http.Client, address string, cert, issuing *x509.Certificate) []byte {
	t.Helper()
	request, err := xocsp.CreateRequest(cert, issuing, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Post(address, "application/ocsp-request", bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return answer
}

// statusOf reads such an answer.
func statusOf(t *testing.T, answer []byte, cert, issuing *x509.Certificate) *xocsp.Response {
	t.Helper()
	got, err := xocsp.ParseResponseForCert(answer, cert, issuing)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestC5_PortalAnswers revokes the portal's own certificate under a running portal: it
// names the address where the answer is, and the answer follows.
func TestC5_PortalAnswers(t *testing.T) {
	p := serving(t, t.TempDir())
	cert, issuing := p.tls.current.Load().Leaf, p.CA.Folder.Issuing()
	if len(cert.OCSPServer) != 1 || cert.OCSPServer[0] != p.Public.HTTP.String()+"/ocsp" {
		t.Fatalf("OCSP address %q", cert.OCSPServer)
	}
	for _, address := range []string{cert.OCSPServer[0], p.Public.HTTPS.String() + "/ocsp"} {
		if got := statusOf(t, asks(t, p.client(), address, cert, issuing), cert, issuing); got.Status != xocsp.Good {
			t.Errorf("%s: got %d", address, got.Status)
		}
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.DB.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Lost, At: p.Now(),
		Entry: audit.Entry{At: p.Now(), Actor: "admin", Role: "admin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.revoked()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		got := statusOf(t, asks(t, p.client(), cert.OCSPServer[0], cert, issuing), cert, issuing)
		if got.Status == xocsp.Revoked {
			if got.RevocationReason != portal.Lost.ReasonCode() {
				t.Errorf("got reason %d", got.RevocationReason)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("got status %d after a minute", got.Status)
		}
	}
}

// A sealed CA certifies no signer: the responder answers tryLater, and its health says why.
func TestSealedPortalAnswersLater(t *testing.T) {
	data := t.TempDir()
	first, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "ca-passphrase"), []byte("not the passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serving(t, data)
	cert, issuing := p.tls.current.Load().Leaf, p.CA.Folder.Issuing()
	if got := asks(t, p.client(), p.Public.HTTP.String()+"/ocsp", cert, issuing); !bytes.Equal(got, xocsp.TryLaterErrorResponse) {
		t.Errorf("got %x", got)
	}
	if h := p.ocspHealth(); h.Signer != nil || h.Trouble == "" {
		t.Errorf("health: %+v", h)
	}
}
