package auditmonitor_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/test/testkit"
)

// collector is an RFC 5425 receiver that reads to the end of each connection.
type collector struct {
	address string
	config  *tls.Config
	trust   *tls.Config

	mu       sync.Mutex
	messages []string
	refuse   int // connections to reset in the middle
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	roots := x509.NewCertPool()
	roots.AddCert(testkit.Must(x509.ParseCertificate(der))(t))
	return &collector{
		config: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key.(*ecdsa.PrivateKey)}}},
		trust:  &tls.Config{RootCAs: roots},
	}
}

// listen starts the collector on the same address as before; the returned function
// stops it.
func (c *collector) listen(t *testing.T) (stop func()) {
	t.Helper()
	if c.address == "" {
		c.address = "127.0.0.1:0"
	}
	l := testkit.Must(tls.Listen("tcp", c.address, c.config))(t)
	c.address = l.Addr().String()
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { c.receive(t, conn) })
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { l.Close(); open.Wait() }) }
	t.Cleanup(stop)
	return stop
}

// receive reads the frames of one connection: length, space, message.
func (c *collector) receive(t *testing.T, conn net.Conn) {
	defer conn.Close()
	c.mu.Lock()
	reset := c.refuse > 0
	if reset {
		c.refuse--
	}
	c.mu.Unlock()
	r := bufio.NewReader(conn)
	var got []string
	for {
		length, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) && length == "" {
			break
		}
		n, bad := strconv.Atoi(strings.TrimSuffix(length, " "))
		if err != nil || bad != nil {
			return // reset from the other side
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(r, message); err != nil {
			return
		}
		got = append(got, string(message))
		if reset && len(got) == 3 {
			wire := conn.(*tls.Conn).NetConn().(*net.TCPConn)
			wire.SetLinger(0)
			wire.Close() // without close_notify, as when its program crashed
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, got...)
}

// resetNext breaks the next n connections after three messages.
func (c *collector) resetNext(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = n
}

func (c *collector) received() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.messages...)
}

func (c *collector) target() auditmonitor.Syslog {
	return auditmonitor.Syslog{Address: c.address, TLS: c.trust}
}

func TestSyslogDelivers(t *testing.T) {
	c := newCollector(t)
	c.listen(t)
	var head audit.Head
	entries := make([]audit.Entry, 3)
	for i := range entries {
		entries[i], head = head.Append(sample(i + 1))
	}
	entries[1].Detail = map[string]string{"name": "two\nlines\r\n<13>1 - - forged - - - -"}
	if err := c.target().Send(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	got := c.received()
	testkit.Equal(t, "messages", len(got), 3)
	for i, message := range got {
		if strings.ContainsAny(message, "\r\n") {
			t.Errorf("message %d has a line break: %q", i, message)
		}
		_, text, _ := strings.Cut(message, "] ")
		back := testkit.Must(audit.ParseJSON([]byte(text)))(t)
		testkit.Equal(t, "number", back.Seq, entries[i].Seq)
		testkit.Equal(t, "hash", back.Hash, entries[i].Hash)
	}
}

func TestSyslogRefuses(t *testing.T) {
	c := newCollector(t)
	stop := c.listen(t)
	entries := []audit.Entry{sample(1), sample(2), sample(3), sample(4)}
	stranger := auditmonitor.Syslog{Address: c.address, TLS: &tls.Config{RootCAs: x509.NewCertPool()}}
	if err := stranger.Send(t.Context(), entries); err == nil {
		t.Error("sent to a receiver whose certificate nobody vouches for")
	}
	testkit.Equal(t, "received from who does not trust", len(c.received()), 0)
	c.resetNext(1)
	if err := c.target().Send(t.Context(), entries); err == nil {
		t.Error("a connection that broke counts as delivered")
	}
	stop()
	if err := c.target().Send(t.Context(), entries); err == nil {
		t.Error("sent to nobody")
	}
}

// The receiver is down while 100,000 entries are written (a tenth under the race
// detector), resets the first connections when it is back, and then has all entries in
// order.
func TestF21_NothingIsLostWhileSyslogIsDown(t *testing.T) {
	entries := 100_000
	switch {
	case testing.Short():
		entries = 5000
	case testkit.UnderRace:
		entries = 10_000
	}
	onBoth(t, func(t *testing.T, h *harness) {
		c := newCollector(t)
		c.listen(t)()
		log := testkit.NewLog(t)
		k := newMonitor(t, h, auditmonitor.Config{Targets: []auditmonitor.Target{c.target()}, Log: log.Logger()})
		k.start(t)
		h.fill(t, entries)
		log.Await(t, "FORWARDING THE AUDIT LOG STOPPED")
		state := testkit.Must(k.State(t.Context()))(t)
		reader := state.Cursors[0] // sorts before the verification cursor
		testkit.Equal(t, "behind", state.Behind(reader), int64(entries))
		if reader.Failure == "" || reader.Since.IsZero() {
			t.Errorf("state tells nothing of the failure: %+v", reader)
		}
		c.resetNext(2)
		c.listen(t)
		log.Await(t, "works again")
		k.awaitReader(t, c.target().Name(), int64(entries))
		checkOrder(t, c.received(), entries)
		testkit.Equal(t, "alarms", log.Count("FORWARDING THE AUDIT LOG STOPPED"), 1)
	})
}

// checkOrder checks that every number is there once, in order; a batch that was
// confirmed late may be repeated.
func checkOrder(t *testing.T, messages []string, want int) {
	t.Helper()
	last := 0
	for _, message := range messages {
		_, rest, _ := strings.Cut(message, ` seq="`)
		number, _, _ := strings.Cut(rest, `"`)
		n, err := strconv.Atoi(number)
		if err != nil || n > last+1 {
			t.Fatalf("after %d came %q", last, number)
		}
		last = max(last, n)
	}
	testkit.Equal(t, "last", last, want)
}
