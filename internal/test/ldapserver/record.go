package ldapserver

import (
	"slices"

	ber "github.com/go-asn1-ber/asn1-ber"
)

// Op is what a request asks for.
type Op string

// The operations that are told apart.
const (
	Bind     Op = "bind"
	Search   Op = "search"
	WhoAmI   Op = "whoami"
	StartTLS Op = "starttls"
	Other    Op = "other"
)

// Request is one request as the server got it.
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

// Requests are all requests so far, or those of some operations.
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

// Forget empties the record.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.connections, s.busiest = nil, 0, 0
}

// Connections counts the connections that were opened.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

// Busiest is how many requests were under way at the same time at most.
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
