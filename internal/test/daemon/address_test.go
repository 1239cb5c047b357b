package daemon

import (
	"net"
	"testing"
)

// A port that was given out is free, is given out once, and is none that the system takes for
// connections that go out.
func TestPort(t *testing.T) {
	port, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	if port >= 32_768 {
		t.Errorf("got port %d, which a connection may take", port)
	}
	if _, err := reserve(port); err == nil {
		t.Error("the port was given out twice")
	}
	listener, err := net.Listen("tcp", Loopback(port))
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	defer listener.Close()
}
