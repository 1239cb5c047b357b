package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"certportal/ca"
	"certportal/internal/test/power"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// powered is a demo in a machine whose power is cut.
type powered struct {
	*demo
	machine *power.Machine

	mu      sync.Mutex
	number  int64            // of the newest list that was fetched
	numbers map[int64][]byte // lists by number
	revoked map[string]bool  // serials whose revocation was confirmed
}

// startPowered runs a demo in a machine, with EC keys whose signatures are noted on a disk that
// loses nothing.
func startPowered(t *testing.T) *powered {
	t.Helper()
	ports := power.Free(t, 2)
	p := &powered{demo: &demo{t: t, dir: filepath.Join(t.TempDir(), "data")}, revoked: map[string]bool{}, numbers: map[int64][]byte{}}
	p.https, p.http = "https://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	environment := append(p.witnessed(), "WITNESS_FOLDER=/witness", "CERTPORTAL_CERTIFICATES_PER_HOUR=100000",
		"CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256")
	script := fmt.Sprintf(`export %s
[ ! -e /disk/data/people.json ] || { /program audit verify --data /disk/data >/tmp/verify 2>&1 || { echo "audit verify:"; cat /tmp/verify; }; }
/program demo --data /disk/data --listen :%s --listen-http :%s &
program=$!
`, strings.Join(environment, " "), ports[0], ports[1])
	p.machine = power.New(t, power.Config{Program: testkit.Must(witness())(t), Script: script, Ports: ports})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the machine printed:\n%s", p.machine.Log())
		}
	})
	p.on()
	p.machine.Do("until [ -e /disk/data/people.json ]; do sleep 0.1; done")
	p.shutdown()
	p.on()
	return p
}

// on turns the machine on and waits until the portal answers.
func (p *powered) on() {
	p.t.Helper()
	p.machine.Start(func(ctx context.Context) error {
		// A connection that is made before the network is up gets no answer.
		ctx, cancel := context.WithTimeout(ctx, patience/10)
		defer cancel()
		_, err := p.fetchList(ctx)
		return err
	})
	if log := p.machine.Log(); strings.Contains(log, "audit verify:") {
		p.t.Errorf("the audit log is not whole:\n%s", log)
	}
}

// shutdown ends the portal and brings its folder and the notes here.
func (p *powered) shutdown() string {
	p.t.Helper()
	log := p.machine.Shutdown()
	p.machine.Extract("data", p.dir, p.notes())
	return log
}

func (p *powered) fetchList(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.http+"/crl/issuing.crl", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	list, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return list, err
}

// checkList fetches the list: its number never goes back, and there is one list of a number.
func (p *powered) checkList(ctx context.Context) {
	der, err := p.fetchList(ctx)
	if err != nil {
		return
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		p.t.Errorf("a list cannot be read: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	number := list.Number.Int64()
	if number < p.number {
		p.t.Errorf("the list has number %d after %d", number, p.number)
	}
	if known := p.numbers[number]; known != nil && !bytes.Equal(known, der) {
		p.t.Errorf("two lists have the number %d", number)
	}
	p.number, p.numbers[number] = number, der
}

var deviceCard = regexp.MustCompile(`data-device="([^"]+)" data-serial="([^"]+)"`)

// revokeUntil removes devices whose file a client received, and fetches the list, until the
// power is cut. What was confirmed is noted.
func (p *powered) revokeUntil(ctx context.Context, c *http.Client, got *received) {
	for ctx.Err() == nil {
		p.checkList(ctx)
		_, page, err := p.get(ctx, c, "/")
		if err != nil {
			continue
		}
		for _, card := range deviceCard.FindAllStringSubmatch(page, -1) {
			serial, err := ca.ParseSerial(card[2])
			if err != nil || !got.has(serial) {
				continue
			}
			resp, err := p.post(ctx, c, "/devices/"+card[1]+"/remove", nil)
			if err == nil && resp.StatusCode == http.StatusSeeOther {
				p.revoked[card[2]] = true
			}
			break
		}
	}
}

// inLong skips a test that starts emulated machines, or needs devices of the kernel.
func inLong(t *testing.T) {
	t.Helper()
	if os.Getenv("CERTPORTAL_LONG") == "" {
		t.Skip("runs for minutes: scripts/test long")
	}
}

// checkRecords looks at the folder of the portal after all.
func (p *powered) checkRecords() {
	p.t.Helper()
	db := testkit.Must(store.Open(p.t.Context(), store.Config{URL: filepath.Join(p.dir, "portal.db")}))(p.t)
	_, issued, revoked := ledgerSerials(p.t, db)
	testkit.NoError(p.t, db.Close())
	for serial := range p.revoked {
		if revoked[serial] == 0 {
			p.t.Errorf("serial %s: the revocation was confirmed and is not recorded", serial)
		}
	}
	journal := p.journal()
	for serial := range issued {
		if journal[serial] == "" {
			p.t.Errorf("serial %s is not in the journal", serial)
		}
	}
	for serial := range revoked {
		if !strings.Contains(journal[serial], `"revoked"`) {
			p.t.Errorf("the revocation of serial %s is not in the journal", serial)
		}
	}
	p.checkSignedLists()
	cmd := exec.Command(testkit.Must(witness())(p.t), "audit", "verify", "--certificates", "--data", p.dir)
	cmd.Env = testkit.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Errorf("audit verify: %v\n%s", err, out)
	}
}
