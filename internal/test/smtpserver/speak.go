package smtpserver

import (
	"net"
	"sync"
	"testing"
)

// Speak listens until the end of the test, calls talk for each connection in a new
// goroutine, and returns the port. Connections are closed with the test, so talk may block
// in a read.
func Speak(t testing.TB, talk func(net.Conn)) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			talks.Go(func() {
				defer conn.Close()
				talk(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		talks.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}
