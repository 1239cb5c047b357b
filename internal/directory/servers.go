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

// tryTimeout limits one server while there is another to try. retryAfter is how long a
// failed server is skipped.
const (
	tryTimeout = 2 * time.Second
	retryAfter = 30 * time.Second
)

// errTimeout is the cause of a context that exceeded the configured Timeout.
var errTimeout = errors.New("directory did not answer in time")

// server is one directory server and the open connections to it.
type server struct {
	url      string // as configured, for messages
	host     string // name that its certificate must have
	address  string // host:port
	startTLS bool

	readPool pool // bound as the portal's account
	bindPool pool // for checking passwords; never used for reading

	mu        sync.Mutex
	downUntil time.Time // zero while it is up
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

// serverError reports that a server gave no valid response, so that another one is tried.
type serverError struct {
	server *server
	err    error
}

func (f *serverError) Error() string { return fmt.Sprintf("request to %s: %v", f.server.url, f.err) }
func (f *serverError) Unwrap() error { return f.err }

func isServerError(err error) bool {
	var f *serverError
	return errors.As(err, &f)
}

// tryServers runs a request on one server after the other until one answers, with success
// or an error, and returns that server.
func (l *LDAP) tryServers(ctx context.Context, servers []*server, request func(context.Context, *server) error) (*server, error) {
	var errs []error
	up, down := l.partition(servers)
	for i, s := range slices.Concat(up, down) {
		err := l.tryServer(ctx, s, i < len(up)-1, request)
		if !isServerError(err) {
			s.markUp()
			return s, err
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, err // the caller canceled, which says nothing about the server
		}
		if s.markDown(l.c.Now().Add(retryAfter)) {
			l.c.Log.Warn("directory server does not answer", "server", s.url, "err", err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// tryServer runs a request on one server, within tryTimeout when there is another to try.
func (l *LDAP) tryServer(ctx context.Context, s *server, another bool, request func(context.Context, *server) error) error {
	if another {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, tryTimeout, errTimeout)
		defer cancel()
	}
	return request(ctx, s)
}

// partition separates the servers that are up from those that failed recently. When all
// failed recently, they are tried in their configured order.
func (l *LDAP) partition(servers []*server) (up, down []*server) {
	now := l.c.Now()
	for _, s := range servers {
		if s.available(now) {
			up = append(up, s)
			continue
		}
		down = append(down, s)
	}
	if len(up) == 0 {
		return servers, nil
	}
	return up, down
}

// available reports whether a server may be tried. After retryAfter one caller tries a
// failed server, and the others skip it until that attempt has ended.
func (s *server) available(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.downUntil.IsZero() {
		return true
	}
	if now.Before(s.downUntil) {
		return false
	}
	s.downUntil = now.Add(tryTimeout)
	return true
}

func (s *server) markUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downUntil = time.Time{}
}

// markDown skips a server until a time and reports whether it was up before.
func (s *server) markDown(until time.Time) (wasUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wasUp = s.downUntil.IsZero()
	s.downUntil = until
	return wasUp
}
