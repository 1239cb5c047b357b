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

// link is one connection to one server. One question at a time goes over it.
type link struct {
	server *server
	raw    net.Conn // below TLS: closing it ends whatever is under way
	conn   *ldap.Conn
	leaf   *x509.Certificate // of the server
	used   time.Time
	broken bool // a question failed or its answer was cut short
}

// errCut says that there was more than was asked for.
var errCut = errors.New("more entries than asked for")

// dial opens a connection under TLS. Nothing but the request for StartTLS is said
// before the server's name and certificate are checked.
func (l *LDAP) dial(ctx context.Context, s *server) (*link, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	raw, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, &fault{s, because(ctx, err)}
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	secured, err := l.secure(ctx, s, raw)
	if !stop() || err != nil {
		raw.Close()
		return nil, &fault{s, because(ctx, err)}
	}
	conn := ldap.NewConn(&framed{Conn: secured}, true)
	// The context ends a question; this is for the library's own waiting.
	conn.SetTimeout(l.c.Timeout + time.Second)
	conn.Start()
	return &link{server: s, raw: raw, conn: conn, leaf: secured.ConnectionState().PeerCertificates[0]}, nil
}

func (l *LDAP) secure(ctx context.Context, s *server, raw net.Conn) (*tls.Conn, error) {
	if s.startTLS {
		if err := startTLS(raw); err != nil {
			return nil, fmt.Errorf("asking for StartTLS: %w", err)
		}
	}
	secured := tls.Client(raw, &tls.Config{ServerName: s.host, RootCAs: l.c.Roots, MinVersion: tls.VersionTLS12})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("opening TLS: %w", err)
	}
	return secured, nil
}

// startTLS asks for TLS (RFC 4511 section 4.14). A server that refuses, or one in
// between that cuts the offer out, ends the connection: nothing is sent in the
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
		return errFrame
	}
	return ldap.GetLDAPError(message)
}

// do has one question asked. When the context ends the connection is closed under
// it: the library alone would wait.
func (k *link) do(ctx context.Context, question func(*ldap.Conn) error) error {
	stop := context.AfterFunc(ctx, func() { k.raw.Close() })
	err := question(k.conn)
	if !stop() {
		k.broken = true
		return &fault{k.server, because(ctx, err)}
	}
	var result *ldap.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ldap.ErrSizeLimitExceeded), errors.Is(err, errCut):
		k.broken = true // the rest is still coming
		return errCut
	case errors.As(err, &result) && result.ResultCode == ldap.LDAPResultSizeLimitExceeded:
		return errCut
	case errors.As(err, &result) && answered(result.ResultCode):
		return err
	}
	k.broken = true
	return &fault{k.server, err}
}

// answered reports whether a result code is an answer. Busy servers, those that
// shut down and those that forgot who is asking (operationsError on Active
// Directory) give none; codes from 200 are the library's own.
func answered(code uint16) bool {
	switch code {
	case ldap.LDAPResultOperationsError, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable:
		return false
	}
	return code < ldap.ErrorNetwork
}

// because names the end of the context as the cause where there is one.
func because(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

// bind says who is asking over the connection. An empty password would be an
// anonymous success (RFC 4513 section 5.1.2); callers checked, and so does the
// library.
func (k *link) bind(ctx context.Context, name, password string) error {
	return k.do(ctx, func(c *ldap.Conn) error { return c.Bind(name, password) })
}

// query is a search. Limit 0 means 1, which is all that a base scope can have.
type query struct {
	base       string
	scope      int
	filter     string
	attributes []string
	limit      int  // more entries than these are errCut
	page       bool // let the server stop at limit: Samba ignores size limits
}

// search returns the entries found. With errCut it returns those that came
// before the limit.
func (k *link) search(ctx context.Context, q query) ([]entry, error) {
	limit := max(q.limit, 1)
	request := ldap.NewSearchRequest(q.base, q.scope, ldap.NeverDerefAliases, limit, 0, false, q.filter, q.attributes, nil)
	request.EnforceSizeLimit = true
	if q.page {
		request.SizeLimit = 0
		request.Controls = []ldap.Control{ldap.NewControlPaging(uint32(limit))}
	}
	var entries []entry
	err := k.do(ctx, func(c *ldap.Conn) error {
		result, err := c.Search(request)
		if result == nil {
			return err
		}
		for _, e := range result.Entries {
			entries = append(entries, entry{e})
		}
		if err == nil && q.page && (len(entries) > limit || hasMore(result)) {
			return errCut
		}
		return err
	})
	if errors.Is(err, errCut) && q.scope == ldap.ScopeBaseObject {
		err = &fault{k.server, fmt.Errorf("several entries of one name: %w", errFrame)}
	}
	return entries[:min(len(entries), limit)], err
}

// hasMore reports whether a paged answer goes on (RFC 2696).
func hasMore(result *ldap.SearchResult) bool {
	paging, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
	return ok && len(paging.Cookie) > 0
}

func (k *link) close() { k.raw.Close() }
