package config

import (
	"net"
	"strconv"
	"time"
)

// DefaultOps is where health and metrics are when no setting says otherwise: on the
// machine itself. Two portals on one machine share this default, so the one that comes
// second goes without.
const DefaultOps = "127.0.0.1:9843"

// maxStopDelay leaves time for open requests: all ends within 15 seconds of a signal.
const maxStopDelay = 10 * time.Second

func (s *Settings) checkOps() error {
	if s.StopDelay < 0 || s.StopDelay > maxStopDelay {
		return mistake("stop_delay", s.StopDelay, "choose 0s to 10s, such as 5s")
	}
	if s.ListenOps != "" && !listenable(s.ListenOps) {
		return mistake("listen_ops", s.ListenOps, "write ADDRESS:PORT with a port of 0 to 65535, or nothing for none")
	}
	return nil
}

// listenable reports whether an address is ADDRESS:PORT or :PORT with a number of a port.
func listenable(address string) bool {
	_, port, err := net.SplitHostPort(address)
	_, badPort := strconv.ParseUint(port, 10, 16)
	return err == nil && badPort == nil
}
