package load_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"certportal/internal/test/daemon"
	"certportal/internal/test/ldapserver"
	"certportal/internal/test/load"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// password is that of all people of the LDAP server in this process.
const password = "correct horse battery"

// portal is the program with a directory, on free ports.
type portal struct {
	t                 testing.TB
	https, http, ops  string // addresses
	data              string
	environ           []string
	running           *daemon.Process
	transport, public *http.Transport // of people; of clients of lists and OCSP
}

// withPeople is the settings of a portal whose directory is in this process, with people who
// are called person0 and so on.
func withPeople(t testing.TB, n int) []string {
	t.Helper()
	server := ldapserver.Start(t, ldapserver.Config{})
	server.Domain()
	for i := range n {
		server.Person(person(i), password, uint32(2000+i))
	}
	file := filepath.Join(t.TempDir(), "directory-ca.pem")
	testkit.NoError(t, os.WriteFile(file, server.AuthorityPEM(), 0o600))
	return directory(t, ldapserver.Name, server.URL(), ldapserver.Reader, ldapserver.ReaderPassword, file)
}

func person(i int) string { return fmt.Sprint("person", i) }

// directory is the settings of Active Directory.
func directory(t testing.TB, domain, server, reader, password, caFile string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "directory-password")
	testkit.NoError(t, os.WriteFile(file, []byte(password+"\n"), 0o600))
	return []string{
		"CERTPORTAL_DIRECTORY_KIND=active-directory", "CERTPORTAL_DIRECTORY_DOMAIN=" + domain, "CERTPORTAL_DIRECTORY_SERVERS=" + server,
		"CERTPORTAL_DIRECTORY_USER=" + reader, "CERTPORTAL_DIRECTORY_PASSWORD_FILE=" + file, "CERTPORTAL_DIRECTORY_CA_FILE=" + caFile,
	}
}

// startPortal makes a CA and starts the program.
func startPortal(t testing.TB, environ ...string) *portal {
	t.Helper()
	p := &portal{t: t, data: t.TempDir()}
	address := testkit.Must(daemon.Address(8443, 8080, 8444, 9843))(t)
	p.https, p.http, p.ops = "https://"+net.JoinHostPort(address, "8443"), "http://"+net.JoinHostPort(address, "8080"), "http://"+net.JoinHostPort(address, "9843")
	p.environ = append([]string{
		"CERTPORTAL_DATA=" + p.data, "CERTPORTAL_ORGANIZATION=Example",
		"CERTPORTAL_LISTEN=" + p.https[len("https://"):], "CERTPORTAL_LISTEN_HTTP=" + p.http[len("http://"):],
		"CERTPORTAL_LISTEN_OPS=" + p.ops[len("http://"):], "CERTPORTAL_LISTEN_CHECK=" + net.JoinHostPort(address, "8444"),
		"CERTPORTAL_PUBLIC_URL=" + p.https, "CERTPORTAL_PUBLIC_HTTP_URL=" + p.http,
		"CERTPORTAL_CERTIFICATES_DEVICES=1000", "CERTPORTAL_CERTIFICATES_PER_HOUR=100000", "CERTPORTAL_CERTIFICATES_PREPARED_KEYS=0",
	}, environ...)
	if out, err := p.command("ca", "init").CombinedOutput(); err != nil {
		t.Fatalf("ca init: %v\n%s", err, out)
	}
	p.serve(p.command("serve"))
	return p
}

func (p *portal) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Dir = append(testkit.Environ(), p.environ...), p.data
	return cmd
}

// connect makes the transports. People come from many addresses, as each may send so many
// requests a minute.
func (p *portal) connect() {
	p.public = &http.Transport{MaxIdleConnsPerHost: 100, DialContext: from(net.IPv4(127, 77, 0, 1)).DialContext}
	root := testkit.Must((&http.Client{Transport: p.public}).Get(p.http + "/ca/root.cer"))(p.t)
	defer root.Body.Close()
	der := testkit.Must(io.ReadAll(root.Body))(p.t)
	roots := x509.NewCertPool()
	roots.AddCert(testkit.Must(x509.ParseCertificate(der))(p.t))
	p.transport = &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 200,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ip := net.IPv4(127, 78, 0, 1)
			_, _ = rand.Read(ip[14:15]) // never fails
			return from(ip).DialContext(ctx, network, address)
		},
	}
	p.t.Cleanup(p.disconnect)
}

func from(ip net.IP) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}, Timeout: 10 * time.Second}
}

// disconnect ends the connections that no request uses.
func (p *portal) disconnect() {
	p.transport.CloseIdleConnections()
	p.public.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
}

// signInTries is how often a person signs in before the load begins: a disk that others keep
// busy may fail one.
const signInTries = 5

// signedIn signs people in.
func (p *portal) signedIn(n int) []*load.Browser {
	p.t.Helper()
	all := make([]*load.Browser, n)
	var working sync.WaitGroup
	for lane := range 8 {
		working.Go(func() {
			for i := lane; i < n; i += 8 {
				all[i] = load.NewBrowser(p.https, p.transport)
				err := all[i].SignIn(p.t.Context(), person(i), password)
				for try := 1; err != nil && try < signInTries; try++ {
					err = all[i].SignIn(p.t.Context(), person(i), password)
				}
				if err != nil {
					p.t.Errorf("%s: %v", person(i), err)
				}
			}
		})
	}
	working.Wait()
	if p.t.Failed() {
		p.t.FailNow()
	}
	return all
}

// metric reads one figure of /metrics.
func (p *portal) metric(name string) (float64, error) {
	a, err := load.NewBrowser(p.ops, http.DefaultTransport).Get(context.Background(), "/metrics")
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(a.Body)
	if found == nil {
		return 0, fmt.Errorf("/metrics lacks %s", name)
	}
	return strconv.ParseFloat(found[1], 64)
}

// mustMetric is metric for a portal that answers.
func (p *portal) mustMetric(name string) float64 {
	p.t.Helper()
	return testkit.Must(p.metric(name))(p.t)
}

// settled reports an error until all that was begun is issued or ended: nothing is left half made.
func (p *portal) settled(url string) {
	p.t.Helper()
	db := testkit.Must(store.Open(p.t.Context(), store.Config{URL: url}))(p.t)
	defer db.Close()
	testkit.Eventually(p.t, "nothing is half made", func() bool {
		left, err := db.Unfinished(p.t.Context(), time.Now().Add(time.Hour), 10)
		return err == nil && len(left) == 0
	})
}

// sqlite is the address of the portal's own database.
func (p *portal) sqlite() string { return "sqlite:" + filepath.Join(p.data, "portal.db") }
