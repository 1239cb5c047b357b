package daemon

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Port finds a free port of 127.0.0.1.
func Port() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// Address finds a loopback address on which the ports are free, for servers with fixed
// ports. It is random among 64,000, so that concurrent test binaries do not collide.
func Address(ports ...int) (string, error) {
	var last error
	for range 20 {
		address := fmt.Sprintf("127.77.%d.%d", rand.IntN(254)+1, rand.IntN(254)+1)
		if last = free(address, ports); last == nil {
			return address, nil
		}
	}
	return "", fmt.Errorf("finding a loopback address: %w", last)
}

func free(address string, ports []int) error {
	for _, port := range ports {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err != nil {
			return err
		}
		listener.Close()
	}
	return nil
}
