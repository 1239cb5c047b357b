package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// connection is a connection to one server. It runs one request at a time.
type connection struct {
	server *server
	raw    net.Conn // below TLS; closing it aborts the request in progress
	client *ldap.Conn
	leaf   *x509.Certificate // the server's certificate
	used   time.Time
	broken bool // a request failed or its response was truncated
}

// errTruncated reports that a search matched more entries than its limit.
var errTruncated = errors.New("more entries than asked for")

// dial opens a TLS connection. Apart from the StartTLS request it sends nothing before
// the server's name and certificate are verified.
func (l *LDAP) dial(ctx context.Context, s *server) (*connection, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	raw, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, &serverError{s, withCause(ctx, err)}
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	secured, err := l.secure(ctx, s, raw)
	if !stop() || err != nil {
		raw.Close()
		return nil, &serverError{s, withCause(ctx, err)}
	}
	conn := ldap.NewConn(&limitedConn{Conn: secured}, true)
	// do enforces the context; this timeout only bounds waiting inside the library.
	conn.SetTimeout(l.c.Timeout + time.Second)
	conn.Start()
	return &connection{server: s, raw: raw, client: conn, leaf: secured.ConnectionState().PeerCertificates[0]}, nil
}

func (l *LDAP) secure(ctx context.Context, s *server, raw net.Conn) (*tls.Conn, error) {
	if s.startTLS {
		if err := startTLS(raw); err != nil {
			return nil, fmt.Errorf("requesting StartTLS: %w", err)
		}
	}
	secured := tls.Client(raw, &tls.Config{ServerName: s.host, RootCAs: l.c.Roots, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("opening TLS: %w", err)
	}
	return secured, nil
}

// startTLS requests TLS (RFC 4511 section 4.14). When the server refuses, or a
// man in the middle strips the response, the connection ends: nothing is sent in the
// clear.
func startTLS(raw net.Conn) error {
	request := ber.NewSequence("LDAPMessage")
	request.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, 1, "messageID"))
	extended := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "ExtendedRequest")
	extended.AppendChild(ber.NewString(ber.ClassContext, ber.TypePrimitive, 0, "1.3.6.1.4.1.1466.20037", "requestName"))
	request.AppendChild(extended)
	if _, err := raw.Write(request.Bytes()); err != nil {
		return err
	}
	answer, err := readMessage(raw)
	if err != nil {
		return err
	}
	message, err := ber.DecodePacketErr(answer)
	if err != nil {
		return err
	}
	if len(message.Children) < 2 || message.Children[1].Tag != ldap.ApplicationExtendedResponse {
		return errNotLDAP
	}
	return ldap.GetLDAPError(message)
}

// do runs one request. When the context ends it closes the connection, because the
// library would keep waiting.
func (conn *connection) do(ctx context.Context, request func(*ldap.Conn) error) error {
	stop := context.AfterFunc(ctx, func() { conn.raw.Close() })
	err := request(conn.client)
	if !stop() {
		conn.broken = true
		return &serverError{conn.server, withCause(ctx, err)}
	}
	var result *ldap.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ldap.ErrSizeLimitExceeded), errors.Is(err, errTruncated):
		conn.broken = true // the rest of the response is still arriving
		return errTruncated
	case errors.As(err, &result) && result.ResultCode == ldap.LDAPResultSizeLimitExceeded:
		return errTruncated
	case errors.As(err, &result) && isAnswer(result.ResultCode):
		return err
	}
	conn.broken = true
	return &serverError{conn.server, err}
}

// isAnswer reports whether a result code is a real answer to the request. It is not when
// the server is busy, shutting down, or has lost the bind state of the connection
// (operationsError on Active Directory). Codes from 200 are the library's own.
func isAnswer(code uint16) bool {
	switch code {
	case ldap.LDAPResultOperationsError, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return false
	}
	return code < ldap.ErrorNetwork
}

// withCause returns the cause of the context when it has ended, else err.
func withCause(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// bind authenticates the connection. An empty password would succeed as anonymous
// (RFC 4513 section 5.1.2); callers check for it, and so does the library.
func (conn *connection) bind(ctx context.Context, name, password string) error {
	return conn.do(ctx, func(c *ldap.Conn) error { return c.Bind(name, password) })
}

// query is a search. Limit 0 means 1, the most that a base scope can return.
type query struct {
	base       string
	scope      int
	filter     string
	attributes []string
	limit      int  // more entries than this give errTruncated
	page       bool // let the server stop at limit: Samba ignores size limits
}

// search returns the entries found. With errTruncated it returns those up to the limit.
func (conn *connection) search(ctx context.Context, q query) ([]entry, error) {
	limit := max(q.limit, 1)
	request := ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, limit, 0, false, q.filter, q.attributes, nil)
	request.EnforceSizeLimit = true
	if q.page {
		request.SizeLimit = 0
		request.Controls = []ldap.Control{ldap.NewControlPaging(uint32(limit))}
	}
	var entries []entry
	err := conn.do(ctx, func(c *ldap.Conn) error {
		result, err := c.Search(request)
		if result == nil {
			return err
		}
		for _, e := range result.Entries {
			entries = append(entries, entry{e})
		}
		if err == nil && q.page && (len(entries) > limit || hasMore(result)) {
			return errTruncated
		}
		return err
	})
	if errors.Is(err, errTruncated) && q.scope == ldap.ScopeBaseObject {
		err = &serverError{conn.server, fmt.Errorf("several entries of one name: %w", errNotLDAP)}
	}
	return entries[:min(len(entries), limit)], err
}

// searchAll returns all entries found, 500 at a time. The limit of the query does not
// count.
func (conn *connection) searchAll(ctx context.Context, q query) ([]entry, error) {
	request := ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, 0, 0, false, q.filter, q.attributes, nil)
	var entries []entry
	err := conn.do(ctx, func(c *ldap.Conn) error {
		result, err := c.SearchWithPaging(request, 500)
		if err != nil {
			return err
		}
		for _, e := range result.Entries {
			entries = append(entries, entry{e})
		}
		return nil
	})
	return entries, err
}

// hasMore reports whether a paged result continues (RFC 2696).
func hasMore(result *ldap.SearchResult) bool {
	paging, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
	return ok && len(paging.Cookie) > 0
}

func (conn *connection) close() { conn.raw.Close() }
