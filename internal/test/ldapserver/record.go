package ldapserver

import (
	"slices"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Op is the operation of a request.
type Op string

// The supported operations.
const (
	Bind     Op = "bind"
	Search   Op = "search"
	WhoAmI   Op = "whoami"
	StartTLS Op = "starttls"
	Other    Op = "other"
)

// Request is a request as received.
type Request struct {
	Connection int // 1, 2, …
	ID         int64
	TLS        bool
	Op         Op
	Name       string // of a bind, or the base of a search
	Password   string
	Scope      int
	Filter     string
	Node       *ber.Packet // the filter, taken apart
	Attributes []string
	Page       bool // with the control for paged results
}

// Requests returns all requests so far, or only those of some operations.
func (s *Server) Requests(ops ...Op) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(ops) == 0 {
		return slices.Clone(s.requests)
	}
	var requests []Request
	for _, r := range s.requests {
		if slices.Contains(ops, r.Op) {
			requests = append(requests, r)
		}
	}
	return requests
}

// Forget clears the recorded requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.connections, s.busiest = nil, 0, 0
}

// Connections returns the number of connections opened so far.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Busiest returns the maximum number of concurrent requests so far.
func (s *Server) Busiest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busiest
}

func (s *Server) begin(r Request) Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	s.underway++
	s.busiest = max(s.busiest, s.underway)
	return s.script
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway--
}
