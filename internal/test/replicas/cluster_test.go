package replicas

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/store"
)

const password = "correct horse battery"

// cluster is three portals on one database.
type cluster struct {
	t       testing.TB
	portals []*instance
	db      *store.DB // of the test, to add people and to look
	added   map[string]bool

	mu  sync.Mutex
	got map[ca.Serial][]byte // certificates that people have in hand
}

// newCluster starts three portals on a database. The first makes the CA, the others get its
// folder.
func newCluster(t testing.TB, database string, further ...string) *cluster {
	t.Helper()
	return newClusterOn(t, []string{database, database, database}, further...)
}

// newClusterOn is newCluster with an address of the database for each portal.
func newClusterOn(t testing.TB, databases []string, further ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, added: make(map[string]bool), got: make(map[ca.Serial][]byte)}
	for n, database := range databases {
		c.portals = append(c.portals, newInstance(t, []string{"one", "two", "three"}[n], database, further...))
	}
	c.portals[0].start()
	var starting sync.WaitGroup
	for _, p := range c.portals[1:] {
		c.portals[0].copyCA(p)
		starting.Go(p.start)
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	c.db = testkit.Must(store.Open(t.Context(), store.Config{URL: databases[0]}))(t)
	t.Cleanup(func() { c.db.Close() })
	t.Cleanup(func() {
		for _, p := range c.portals {
			if t.Failed() && p.running != nil {
				t.Logf("portal %s:\n%s", p.name, trouble(p.log+p.running.Log()))
			}
		}
	})
	return c
}

// trouble is a log without what went well.
func trouble(log string) string {
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") || strings.Contains(line, " status=5") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// add adds a person of the built-in directory.
func (c *cluster) add(login string, roles ...portal.Role) {
	c.t.Helper()
	c.added[login] = true
	people := testkit.Must(directory.NewBuiltin(c.db))(c.t)
	testkit.Must(people.Add(c.t.Context(), directory.NewAccount{
		Login: login, UPN: login + "@corp.example", Name: login, Roles: roles, Password: password,
	}, audit.Entry{At: time.Now(), Actor: "test"}))(c.t)
}

// keep records what a person has in hand.
func (c *cluster) keep(f file) {
	serial, err := ca.ParseSerial(fmt.Sprintf("%x", f.leaf.SerialNumber))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.t.Error(err)
	case c.got[serial] != nil && !bytes.Equal(c.got[serial], f.leaf.Raw):
		c.t.Errorf("two certificates with serial %s", serial)
	default:
		c.got[serial] = f.leaf.Raw
	}
}

// check compares what people have in hand with the records: lost is what is not recorded as
// it is, twice how many serials occur more than once. The audit log must be whole.
func (c *cluster) check() (lost, twice int) {
	c.t.Helper()
	reserved, nodes := c.reserved()
	for serial, der := range c.got {
		stored, err := c.db.Certificate(c.t.Context(), serial)
		if err != nil || !bytes.Equal(stored.DER, der) {
			c.t.Errorf("serial %s: not recorded as people have it: %v", serial, err)
			lost++
			continue
		}
		if s, err := c.db.Status(c.t.Context(), serial); err != nil || s.State != ocsp.Good {
			c.t.Errorf("serial %s is %v: %v", serial, s.State, err)
			lost++
		}
		if reserved[serial.String()] != 1 {
			c.t.Errorf("serial %s was reserved %d times", serial, reserved[serial.String()])
		}
	}
	for serial, n := range reserved {
		if n > 1 {
			c.t.Errorf("serial %s was reserved %d times", serial, n)
			twice++
		}
	}
	for _, p := range c.portals {
		if nodes[p.name] == 0 {
			c.t.Errorf("portal %s did nothing", p.name)
		}
	}
	c.t.Logf("%d certificates in hand, %d reserved, by portal: %v", len(c.got), len(reserved), nodes)
	return lost, twice
}

// reserved walks the audit log and counts reservations by serial and by portal.
func (c *cluster) reserved() (serials, nodes map[string]int) {
	c.t.Helper()
	serials, nodes = make(map[string]int), make(map[string]int)
	var head audit.Head
	for {
		entries := testkit.Must(c.db.Entries(c.t.Context(), head.Seq, 1000))(c.t)
		if len(entries) == 0 {
			return serials, nodes
		}
		for _, e := range entries {
			if !e.Follows(head) {
				c.t.Fatalf("the audit log breaks at entry %d", e.Seq)
			}
			head = audit.Head{Seq: e.Seq, Hash: e.Hash}
			if e.Action == audit.CertificateReserved {
				serials[e.Object]++
				nodes[e.Node]++
			}
		}
	}
}

// nothingPending waits until no reservation is left over.
func (c *cluster) nothingPending() {
	c.t.Helper()
	testkit.Eventually(c.t, "no certificate is left between reserved and issued", func() bool {
		left, err := c.db.Unfinished(context.WithoutCancel(c.t.Context()), time.Now().Add(time.Hour), 10)
		return err == nil && len(left) == 0
	})
}
