package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/store"
)

var (
	downloadLink = regexp.MustCompile(`href="(/d/[^"]+)"`)
	tags         = regexp.MustCompile(`<[^>]*>`)
)

// received collects what clients got hold of: leaf certificates they can use.
type received struct {
	mu    sync.Mutex
	certs map[ca.Serial][]byte
	news  chan struct{} // one for each certificate, as far as there is room
}

// moment waits until it is time to kill: by lot, and in every second cycle not
// before four clients were served. On a busy machine nothing else would be killed
// than a portal that has just started.
func (r *received) moment(t *testing.T, d *demo, cycle int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	for got := range cycle % 2 * 4 {
		select {
		case <-r.news:
		case <-ctx.Done():
			t.Fatalf("clients received %d certificates in cycle %d, and no more:\n%s", got, cycle, d.stderr())
		}
	}
	pause := time.NewTimer(time.Duration(1+rand.IntN(90)) * time.Millisecond)
	<-pause.C
}

func (r *received) add(serial ca.Serial, der []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.certs[serial] = der
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// has reports whether a client received a certificate.
func (r *received) has(serial ca.Serial) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.certs[serial] != nil
}

// killCycles is how often the program is killed, 1,000 times in "scripts/test long": each
// time costs more than a second.
func killCycles(t *testing.T) int {
	if times := testkit.Times(t, 1); times > 1 {
		return 200 * times
	}
	return 15
}

// TestF1_KillInTheMiddleOfIssuing kills the program, 1,000 times in long tests, while four
// clients enrol without pause. Every certificate that a client received must be in the store,
// no serial may occur twice, every certificate was recorded before it was signed, as a witness
// beside the database notes, and nothing is stuck after a restart.
func TestF1_KillInTheMiddleOfIssuing(t *testing.T) {
	slow(t)
	d := startWitnessed(t)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	cycles := killCycles(t)
	got := &received{certs: map[ca.Serial][]byte{}}
	d.keepAddresses()
	for cycle := range cycles {
		got.news = make(chan struct{}, cycles)
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for i := range 4 {
			clients.Go(func() { d.enrolUntil(ctx, c, got, fmt.Sprintf("%d-%d", cycle, i)) })
		}
		got.moment(t, d, cycle)
		d.stop(syscall.SIGKILL)
		cancel()
		clients.Wait()
		c.CloseIdleConnections()
		d.start(d.witnessed()...)
		if cycle%40 == 39 {
			// The quota is a thousand; the session ends after eight hours.
			d.removeAll(c)
		}
	}
	d.stop(syscall.SIGTERM)
	if len(got.certs) < cycles {
		t.Errorf("clients received only %d certificates in %d cycles: the test did not test", len(got.certs), cycles)
	}
	got.check(t, d)
}

// enrolUntil enrols until the program dies, and keeps what it could download.
func (d *demo) enrolUntil(ctx context.Context, c *http.Client, got *received, label string) {
	for n := 0; ctx.Err() == nil; n++ {
		if der, serial, ok := d.tryEnrol(ctx, c, fmt.Sprintf("%s-%d", label, n)); ok {
			got.add(serial, der)
		}
	}
}

// tryEnrol is one attempt; any step may break off.
func (d *demo) tryEnrol(ctx context.Context, c *http.Client, name string) ([]byte, ca.Serial, bool) {
	var none ca.Serial
	resp, err := d.post(ctx, c, "/new", url.Values{"name": {name}, "platform": {"linux"}, "request": {"kill-test-" + name + "-token"}})
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		return nil, none, false
	}
	status, page, err := d.get(ctx, c, resp.Header.Get("Location"))
	link := downloadLink.FindStringSubmatch(page)
	if err != nil || status != http.StatusOK || link == nil {
		return nil, none, false
	}
	password := strings.Join(strings.Fields(tags.ReplaceAllString(passwordHTML(page), "")), "")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.https+html.UnescapeString(link[1]), nil)
	if err != nil {
		return nil, none, false
	}
	file, err := c.Do(req)
	if err != nil {
		return nil, none, false
	}
	defer file.Body.Close()
	content, err := io.ReadAll(file.Body)
	if err != nil || file.StatusCode != http.StatusOK {
		return nil, none, false
	}
	_, leaf, _, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		d.t.Errorf("a whole file does not open with %q: %v", password, err)
		return nil, none, false
	}
	serial, err := ca.ParseSerial(fmt.Sprintf("%x", leaf.SerialNumber))
	if err != nil {
		d.t.Error(err)
		return nil, none, false
	}
	return leaf.Raw, serial, true
}

// passwordHTML cuts the element with the password out of the page.
func passwordHTML(page string) string {
	_, rest, _ := strings.Cut(page, `id="install-password"`)
	_, rest, _ = strings.Cut(rest, ">")
	inner, _, _ := strings.Cut(rest, "</bdi>")
	return inner
}

// removeAll takes all devices away, so that the quota stays out of the way.
func (d *demo) removeAll(c *http.Client) {
	d.t.Helper()
	_, page, err := d.get(d.t.Context(), c, "/")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`data-device="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if _, err := d.post(d.t.Context(), c, "/devices/"+m[1]+"/remove", nil); err != nil {
			d.t.Fatal(err)
		}
	}
}

// check compares three sets: what clients hold, what the store holds, and what
// the audit log says.
func (r *received) check(t *testing.T, d *demo) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: filepath.Join(d.dir, "portal.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reserved, issued, revoked := ledgerSerials(t, db)
	for serial, der := range r.certs {
		if reserved[serial.String()] != 1 || issued[serial.String()] != 1 {
			t.Errorf("serial %s: reserved %d times, issued %d times, want once each", serial, reserved[serial.String()], issued[serial.String()])
		}
		checkStored(t, db, serial, der)
	}
	for serial, n := range reserved {
		if n != 1 {
			t.Errorf("serial %s was reserved %d times", serial, n)
		}
		if issued[serial] == 0 && revoked[serial] == 0 {
			t.Errorf("serial %s is stuck between reserved and issued", serial)
		}
	}
	stuck, err := db.Unfinished(t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil || len(stuck) != 0 {
		t.Errorf("unfinished after the restart: %v, %v", stuck, err)
	}
	signed := -1
	if _, err := os.Stat(d.notes()); err == nil {
		signed = d.checkWitness(reserved)
	}
	t.Logf("%d received, %d reserved, %d signed, %d issued, %d revoked", len(r.certs), len(reserved), signed, len(issued), len(revoked))
}

// checkStored holds what a client received against the bytes in the store.
func checkStored(t *testing.T, db *store.DB, serial ca.Serial, der []byte) {
	t.Helper()
	stored, err := db.Certificate(t.Context(), serial)
	if err != nil || !bytes.Equal(stored.DER, der) {
		t.Errorf("serial %s: the store does not hold what the client received: %v", serial, err)
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		t.Error(err)
	}
}

// ledgerSerials walks the whole chain and counts serials by what happened.
func ledgerSerials(t testing.TB, db *store.DB) (reserved, issued, revoked map[string]int) {
	t.Helper()
	reserved, issued, revoked = map[string]int{}, map[string]int{}, map[string]int{}
	into := map[audit.Action]map[string]int{
		audit.CertificateReserved: reserved, audit.CertificateIssued: issued, audit.CertificateRevoked: revoked,
	}
	var head audit.Head
	for {
		entries, err := db.Entries(t.Context(), head.Seq, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return reserved, issued, revoked
		}
		for _, e := range entries {
			if !e.Follows(head) {
				t.Fatalf("the ledger breaks at entry %d", e.Seq)
			}
			head = audit.Head{Seq: e.Seq, Hash: e.Hash}
			if m := into[e.Action]; m != nil {
				m[e.Object]++
			}
		}
	}
}
