// Package toxiproxy puts a proxy between the portal and a real server that simulates network
// failures: connections that hang, are cut, are slow, or deliver data in small pieces.
//
// [Start] runs Shopify's toxiproxy-server, from the PATH or built once into the user's
// cache. [Server.Proxy] opens a proxy to an upstream address; methods such as
// [Proxy.HalfOpen] break it, and [Proxy.Mend] restores it.
package toxiproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"certportal/internal/test/daemon"
)

// module is built when no toxiproxy-server is installed.
const module = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"

// Server is a running toxiproxy.
type Server struct {
	api    string
	client *http.Client
	made   int
}

// Start runs a toxiproxy until the end of the test. It skips the test when toxiproxy is
// not installed and cannot be built.
func Start(t testing.TB) *Server {
	t.Helper()
	path, err := program()
	if err != nil {
		daemon.Need(t, fmt.Sprintf("toxiproxy is absent: %v", err))
	}
	port, err := daemon.Port()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{api: "http://127.0.0.1:" + strconv.Itoa(port), client: &http.Client{Timeout: 10 * time.Second}}
	cmd := exec.Command(path, "-host", "127.0.0.1", "-port", strconv.Itoa(port))
	process, err := daemon.Run(t.Context(), cmd, func(ctx context.Context) error {
		return s.call(ctx, http.MethodGet, "/version", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		process.Stop()
	})
	return s
}

func program() (string, error) {
	if path := daemon.Program("toxiproxy-server"); path != "" {
		return path, nil
	}
	folder, err := daemon.Cached("toxiproxy-2.5.0", func(folder string) error {
		cmd := exec.Command("go", "install", module)
		cmd.Dir = folder // no module: its own go.mod decides
		cmd.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	return filepath.Join(folder, "server"), err
}

// call sends an API request with body as JSON.
func (s *Server) call(ctx context.Context, method, path string, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.api+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("toxiproxy answers %s to %s %s: %s", resp.Status, method, path, answer)
	}
	return nil
}

// Proxy is a proxy to one server.
type Proxy struct {
	Address string // host and port that stand for the server

	s      *Server
	name   string
	toxics []string
}

// Proxy opens a working proxy on 127.0.0.1 to the upstream host:port.
func (s *Server) Proxy(t testing.TB, upstream string) *Proxy {
	t.Helper()
	address, err := daemon.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s.made++
	p := &Proxy{s: s, name: "proxy" + strconv.Itoa(s.made), Address: address}
	p.must(t, http.MethodPost, "/proxies", map[string]any{
		"name": p.name, "listen": p.Address, "upstream": upstream, "enabled": true,
	})
	return p
}

// Down refuses connections and cuts open ones.
func (p *Proxy) Down(t testing.TB) { t.Helper(); p.enable(t, false) }

// Up accepts connections again.
func (p *Proxy) Up(t testing.TB) { t.Helper(); p.enable(t, true) }

// Latency delays every response.
func (p *Proxy) Latency(t testing.TB, by time.Duration) {
	t.Helper()
	p.add(t, "latency", "downstream", map[string]any{"latency": by.Milliseconds()})
}

// HalfOpen drops every response without closing, like an unplugged cable.
func (p *Proxy) HalfOpen(t testing.TB) {
	t.Helper()
	p.add(t, "timeout", "downstream", map[string]any{"timeout": 0})
}

// Deaf drops every request without closing.
func (p *Proxy) Deaf(t testing.TB) {
	t.Helper()
	p.add(t, "timeout", "upstream", map[string]any{"timeout": 0})
}

// Reset ends every connection with a TCP reset.
func (p *Proxy) Reset(t testing.TB) {
	t.Helper()
	p.add(t, "reset_peer", "downstream", map[string]any{"timeout": 0})
}

// Limit cuts every connection after a number of bytes of responses.
func (p *Proxy) Limit(t testing.TB, bytes int) {
	t.Helper()
	p.add(t, "limit_data", "downstream", map[string]any{"bytes": bytes})
}

// Slice splits responses into pieces of about size bytes, with a delay after each.
func (p *Proxy) Slice(t testing.TB, size int, delay time.Duration) {
	t.Helper()
	p.add(t, "slicer", "downstream", map[string]any{
		"average_size": size, "size_variation": size / 2, "delay": delay.Microseconds(),
	})
}

// Mend removes all failures. Broken connections may stay broken; new ones work.
func (p *Proxy) Mend(t testing.TB) {
	t.Helper()
	for _, name := range p.toxics {
		p.must(t, http.MethodDelete, "/proxies/"+p.name+"/toxics/"+name, nil)
	}
	p.toxics = nil
	p.Up(t)
}

func (p *Proxy) add(t testing.TB, kind, stream string, attributes map[string]any) {
	t.Helper()
	name := kind + strconv.Itoa(len(p.toxics))
	p.must(t, http.MethodPost, "/proxies/"+p.name+"/toxics", map[string]any{
		"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes,
	})
	p.toxics = append(p.toxics, name)
}

func (p *Proxy) enable(t testing.TB, on bool) {
	t.Helper()
	p.must(t, http.MethodPost, "/proxies/"+p.name, map[string]any{"enabled": on})
}

func (p *Proxy) must(t testing.TB, method, path string, body any) {
	t.Helper()
	if err := p.s.call(context.WithoutCancel(t.Context()), method, path, body); err != nil {
		t.Fatal(err)
	}
}
