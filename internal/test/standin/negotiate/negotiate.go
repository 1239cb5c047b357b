// Package negotiate is a stand-in for the sign-in of IIS by Kerberos (RFC 4559) with Extended
// Protection set to Required. The tokens are accepted by MIT's library (Debian:
// python3-gssapi), which checks them with the service's keytab and compares the channel
// binding; only what is around it stands in for IIS.
package negotiate

import (
	"bufio"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"certportal/internal/test/daemon"
)

// python is Debian's, which has the library.
const python = "/usr/bin/python3"

//go:embed accept.py
var program string

// Server signs in one account.
type Server struct {
	account string // the principal that is let in

	mu          sync.Mutex
	certificate *x509.Certificate
	in          io.Writer
	out         *bufio.Scanner
	last        error
}

// Start starts the sign-in of a service with this certificate until the test ends, which lets
// in one account, such as svc-portal@CORP.EXAMPLE.
func Start(t testing.TB, keytab, account string, cert *x509.Certificate) *Server {
	t.Helper()
	if err := exec.Command(python, "-c", "import gssapi").Run(); err != nil {
		daemon.Need(t, "the library of Kerberos for Python (python3-gssapi) is not installed")
	}
	config := filepath.Join(t.TempDir(), "krb5.conf")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", program)
	cmd.Env = append(os.Environ(), "KRB5_CONFIG="+config, "KRB5_KTNAME=FILE:"+keytab, "KRB5RCACHENAME=none:")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // it ends with its input
		in.Close()
		cmd.Wait()
	})
	return &Server{account: account, certificate: cert, in: in, out: bufio.NewScanner(out)}
}

// Show makes the server accept what is bound to another certificate.
func (s *Server) Show(cert *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificate = cert
}

// Refused gives why the last token was refused.
func (s *Server) Refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// SignsIn reports whether the request is of the account. If not, it has answered.
func (s *Server) SignsIn(w http.ResponseWriter, r *http.Request) bool {
	token, sent := strings.CutPrefix(r.Header.Get("Authorization"), "Negotiate ")
	if sent {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last = s.accept(token); s.last == nil {
			return true
		}
	}
	w.Header().Add("WWW-Authenticate", "Negotiate")
	w.Header().Add("WWW-Authenticate", "NTLM")
	http.Error(w, "<h1>401 - Unauthorized", http.StatusUnauthorized)
	return false
}

// accept is for certificates that were signed with SHA-256.
func (s *Server) accept(token string) error {
	hash := sha256.Sum256(s.certificate.Raw)
	question := map[string]string{"token": token, "channel": base64.StdEncoding.EncodeToString(append([]byte("tls-server-end-point:"), hash[:]...))}
	if err := json.NewEncoder(s.in).Encode(question); err != nil {
		return err
	}
	if !s.out.Scan() {
		return fmt.Errorf("MIT's library gave no answer: %v", s.out.Err())
	}
	var answer struct {
		Name, Refused   string
		Complete, Bound bool
	}
	err := json.Unmarshal(s.out.Bytes(), &answer)
	switch {
	case err != nil:
		return err
	case answer.Refused != "":
		return errors.New(answer.Refused)
	case answer.Name != s.account:
		return fmt.Errorf("another account: %s", answer.Name)
	case !answer.Complete || !answer.Bound:
		return fmt.Errorf("complete: %v, bound to the connection: %v", answer.Complete, answer.Bound)
	}
	return nil
}
