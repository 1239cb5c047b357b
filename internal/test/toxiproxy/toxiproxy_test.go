package toxiproxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"certportal/internal/test/toxiproxy"
)

// echo answers every byte with itself.
func echo(t *testing.T) string {
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
			go func() { defer conn.Close(); io.Copy(conn, conn) }()
		}
	}()
	return listener.Addr().String()
}

// ask sends four bytes and waits a moment for them to come back.
func ask(address string) (string, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := conn.Write([]byte("ping")); err != nil {
		return "", err
	}
	answer := make([]byte, 4)
	n, err := io.ReadFull(conn, answer)
	return string(answer[:n]), err
}

func TestTheWayBreaksAndMends(t *testing.T) {
	p := toxiproxy.Start(t).Proxy(t, echo(t))
	cases := []struct {
		name      string
		broken    func()
		want      string
		wantError error
	}{
		{"in order", func() {}, "ping", nil},
		{"down", func() { p.Down(t) }, "", syscall.ECONNREFUSED},
		{"late", func() { p.Latency(t, time.Minute) }, "", os.ErrDeadlineExceeded},
		{"half open", func() { p.HalfOpen(t) }, "", os.ErrDeadlineExceeded},
		{"deaf", func() { p.Deaf(t) }, "", os.ErrDeadlineExceeded},
		{"reset", func() { p.Reset(t) }, "", syscall.ECONNRESET},
		{"limited", func() { p.Limit(t, 2) }, "pi", io.ErrUnexpectedEOF},
		{"sliced", func() { p.Slice(t, 1, time.Millisecond) }, "ping", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.broken()
			got, err := ask(p.Address)
			if got != c.want || !errors.Is(err, c.wantError) {
				t.Errorf("got %q and %v, want %q and %v", got, err, c.want, c.wantError)
			}
			p.Mend(t)
			if got, err := ask(p.Address); got != "ping" || err != nil {
				t.Errorf("mended: got %q and %v", got, err)
			}
		})
	}
}
