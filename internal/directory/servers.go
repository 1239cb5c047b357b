package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// tryTime is what one server gets while another is left, and restTime how long a
// server that failed is left alone.
const (
	tryTime  = 2 * time.Second
	restTime = 30 * time.Second
)

// errSlow is the cause of a context whose question took longer than the
// configured Timeout.
var errSlow = errors.New("directory did not answer in time")

// server is one directory server and the open connections to it.
type server struct {
	url      string // as configured, for messages
	host     string // the name its certificate must carry
	address  string // host:port
	startTLS bool

	readers pool // bound as the portal's account
	doors   pool // where people's passwords are tried; nothing is read over them

	mu        sync.Mutex
	downUntil time.Time // zero while it works
}

func newServer(address string) (*server, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("reading server address: %w", err)
	}
	port := map[string]string{"ldaps": "636", "ldap": "389"}[u.Scheme]
	if port == "" {
		return nil, fmt.Errorf("server %q: the address starts with ldaps:// or ldap://", address)
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("server %q: the address is ldaps://HOST or ldaps://HOST:PORT and nothing more", address)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return &server{
		url: u.Scheme + "://" + u.Host, host: u.Hostname(),
		address: net.JoinHostPort(u.Hostname(), port), startTLS: u.Scheme == "ldap",
	}, nil
}

func newServers(addresses []string) ([]*server, error) {
	var servers []*server
	for _, address := range addresses {
		s, err := newServer(address)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// fault says that a server did not answer, or not sensibly: another one may.
type fault struct {
	server *server
	err    error
}

func (f *fault) Error() string { return fmt.Sprintf("asking %s: %v", f.server.url, f.err) }
func (f *fault) Unwrap() error { return f.err }

func isFault(err error) bool {
	var f *fault
	return errors.As(err, &f)
}

// over asks the servers one after the other until one answers, be the answer good
// or bad, and says which it was.
func (l *LDAP) over(ctx context.Context, servers []*server, ask func(context.Context, *server) error) (*server, error) {
	var faults []error
	working, resting := l.split(servers)
	for i, s := range slices.Concat(working, resting) {
		err := l.try(ctx, s, i < len(working)-1, ask)
		if !isFault(err) {
			s.works()
			return s, err
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, err // the asker went away, which is not the server's fault
		}
		if s.rests(l.c.Now().Add(restTime)) {
			l.c.Log.Warn("directory server does not answer", "server", s.url, "err", err)
		}
		faults = append(faults, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(faults...)
}

// try asks one server. It gets tryTime where another is left.
func (l *LDAP) try(ctx context.Context, s *server, another bool, ask func(context.Context, *server) error) error {
	if another {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, tryTime, errSlow)
		defer cancel()
	}
	return ask(ctx, s)
}

// split puts apart the servers to ask first and those that failed lately. When
// all failed lately they are asked in their own order.
func (l *LDAP) split(servers []*server) (working, resting []*server) {
	now := l.c.Now()
	for _, s := range servers {
		if s.ready(now) {
			working = append(working, s)
			continue
		}
		resting = append(resting, s)
	}
	if len(working) == 0 {
		return servers, nil
	}
	return working, resting
}

// ready reports whether a server may be asked. One whose rest is over is tried by
// one question at first, not by all that come in the meantime.
func (s *server) ready(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.downUntil.IsZero() {
		return true
	}
	if now.Before(s.downUntil) {
		return false
	}
	s.downUntil = now.Add(tryTime)
	return true
}

func (s *server) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downUntil = time.Time{}
}

// rests leaves a server alone and reports whether it worked until now.
func (s *server) rests(until time.Time) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.downUntil.IsZero()
	s.downUntil = until
	return news
}
