package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The system gives ports from 32768 on to connections that go out, at any moment: a port of
// those that was free is soon taken. The ones below it gives to none.
const lowestPort, portsBelow = 10_000, 22_768

// reserved keeps a socket for every port that was given out, so that no other test on this
// machine is given the same one until this process ends. The sockets are on an address that
// no server uses.
var reserved struct {
	sync.Mutex
	sockets []net.PacketConn
}

// Port finds a port of 127.0.0.1 on which no server listens, and none of the tests will but
// the caller's.
func Port() (int, error) {
	var last error
	for range 50 {
		port, err := reserve(lowestPort + rand.IntN(portsBelow))
		if err == nil {
			return port, nil
		}
		last = err
	}
	return 0, fmt.Errorf("finding a free port: %w", last)
}

func reserve(port int) (int, error) {
	socket, err := net.ListenPacket("udp", net.JoinHostPort("127.77.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	listener, err := net.Listen("tcp", Loopback(port))
	if err != nil {
		return 0, errors.Join(err, socket.Close())
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.sockets = append(reserved.sockets, socket)
	return port, listener.Close()
}

// Loopback is a port of 127.0.0.1.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// FreeAddress is 127.0.0.1 with a port as from [Port].
func FreeAddress() (string, error) {
	port, err := Port()
	return Loopback(port), err
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
