package replicas

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// A portal is stopped under load. An answer that began comes whole, and the portal ends by
// itself, before the SIGKILL that follows after 20 s. "scripts/test long" does so 50 times.
func TestF20_StopUnderLoad(t *testing.T) {
	slow(t)
	t.Parallel() // it waits most of the time
	times := 3
	if long() {
		times = 50
	}
	p := newInstance(t, "one", "")
	p.start()
	transport := pageTransport(t, p)
	var longest time.Duration
	answers := 0
	for range times {
		done, ctx := make(chan int), context.WithoutCancel(t.Context())
		for range 8 {
			go func() { done <- askUntilClosed(ctx, t, p, transport) }()
		}
		wait(t, 300*time.Millisecond)
		running, asked := p.running, time.Now()
		p.stop()
		longest = max(longest, time.Since(asked))
		testkit.Contains(t, "the end", running.Log(), "msg=stopped")
		if strings.Contains(running.Log(), "cutting off") {
			t.Errorf("it cut off requests:\n%s", running.Log())
		}
		for range 8 {
			answers += <-done
		}
		p.start()
	}
	t.Logf("%d stops, %d whole answers, longest stop %s", times, answers, longest.Round(10*time.Millisecond))
}

// pageTransport makes a connection for each request.
func pageTransport(t *testing.T, p *instance) *http.Transport {
	t.Helper()
	roots := certificate(t, filepath.Join(p.data, "ca", "root.crt"))
	config := &tls.Config{RootCAs: pool(roots), ServerName: publicName}
	return &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
}

// askUntilClosed asks for pages until the port is closed, and returns how many answers came
// whole. An error behind the handshake is a broken answer.
func askUntilClosed(ctx context.Context, t *testing.T, p *instance, transport *http.Transport) (whole int) {
	for {
		connected := false
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
		req, err := http.NewRequestWithContext(traced, http.MethodGet, "https://"+p.port("8443")+"/login", nil)
		if err != nil {
			t.Error(err)
			return whole
		}
		req.Host = publicName
		a, err := (&browser{http: &http.Client{Transport: transport}}).ask(req)
		if err == nil && (a.status != http.StatusOK || !strings.Contains(a.body, "</html>")) {
			err = fmt.Errorf("status %d, %d bytes", a.status, len(a.body))
		}
		switch {
		case err == nil:
			whole++
		case connected:
			t.Errorf("a broken answer: %v", err)
			return whole
		default:
			return whole
		}
	}
}
