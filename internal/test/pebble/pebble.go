// Package pebble runs Let's Encrypt's test server for ACME. It validates names over plain
// http at a port of the test, refuses every twentieth nonce as its authors intend, and knows
// names by a DNS server of its own, for which every name is 127.0.0.1.
package pebble

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"certportal/internal/test/daemon"
)

// Version is what is built when it is not yet in the cache.
const Version = "v2.10.3"

// Config says how the server differs from a plain one.
type Config struct {
	HTTPPort int               // where it fetches answers to challenges, in the place of 80
	Validity time.Duration     // of certificates. Optional: 90 days
	Blocked  []string          // names that it refuses
	Accounts map[string]string // ids and keys of accounts, without which it takes no order. Optional
	Port     int               // Optional: a free one
}

// Server is a running pebble.
type Server struct {
	Directory string       // address
	CAFile    string       // root of its TLS certificate
	Files     daemon.Files // of its TLS certificate
	Port      int

	process *daemon.Process
}

// Start runs a server until the test ends, or Stop.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	program, err := program()
	if err != nil {
		daemon.Need(t, fmt.Sprintf("pebble is absent: %v", err))
	}
	s := &Server{Port: c.Port}
	dir := t.TempDir()
	if s.Port == 0 {
		if s.Port, err = daemon.Port(); err != nil {
			t.Fatal(err)
		}
	}
	authority, err := daemon.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if s.Files, err = authority.Server(dir, "localhost", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	s.CAFile, s.Directory = s.Files.CA, fmt.Sprintf("https://localhost:%d/dir", s.Port)
	file := filepath.Join(dir, "pebble.json")
	if err := s.write(file, c); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-config", file, "-dnsserver", names(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Roots()}, DisableKeepAlives: true}}
	s.process, err = daemon.Run(t.Context(), cmd, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Directory, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.process.Stop)
	return s
}

// Stop ends the server; what it knew of accounts and orders is gone.
func (s *Server) Stop() { s.process.Stop() }

// Log gives what the server printed.
func (s *Server) Log() string { return s.process.Log() }

func (s *Server) write(file string, c Config) error {
	if c.Validity == 0 {
		c.Validity = 90 * 24 * time.Hour
	}
	settings := map[string]any{
		"listenAddress": daemon.Loopback(s.Port), "certificate": s.Files.Certificate, "privateKey": s.Files.Key,
		"httpPort": c.HTTPPort, "tlsPort": 1, "domainBlocklist": c.Blocked, "keyAlgorithm": "ecdsa",
		"externalAccountBindingRequired": len(c.Accounts) > 0, "externalAccountMACKeys": c.Accounts,
		"retryAfter": map[string]int{"authz": 0, "order": 0},
		"profiles":   map[string]any{"default": map[string]any{"description": "test", "validityPeriod": int(c.Validity.Seconds())}},
	}
	text, err := json.Marshal(map[string]any{"pebble": settings})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func program() (string, error) {
	folder, err := daemon.Cached("pebble-"+Version, func(folder string) error {
		cmd := exec.Command("go", "install", "github.com/letsencrypt/pebble/v2/cmd/pebble@"+Version)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "GOBIN="+folder, "GOFLAGS=", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("making pebble: %w\n%s", err, out)
		}
		return nil
	})
	return filepath.Join(folder, "pebble"), err
}

// names runs a DNS server for which every name is 127.0.0.1, and returns its address. Pebble
// asks over TCP (RFC 7766).
func names(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(conn)
		}
	}()
	return listener.Addr().String()
}

// answer answers the questions of one connection.
func answer(conn net.Conn) {
	defer conn.Close()
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		packet := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(packet) != nil || len(m.Questions) != 1 {
			return
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
		text, err := m.Pack()
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)); err != nil {
			return
		}
	}
}
