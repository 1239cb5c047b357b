package web

import (
	"cmp"
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// ocspLag bounds how long OCSP responses stay the same after a revocation: the
// responder polls the store a few times a second.
const ocspLag = time.Second

// acceptedUntil is the time until which a server may still accept a revoked
// certificate because of an earlier CRL or OCSP response: the later end of both, but
// not after the certificate's own end. It is zero when that has passed. It does not
// know if OCSP responses were valid for longer when the certificate was revoked.
func (s *Server) acceptedUntil(revoked, listsUntil, notAfter time.Time, online bool) time.Time {
	until := listsUntil
	if health := s.ocspState(); online && health != nil {
		if answers := revoked.Add(health.Life + ocspLag); answers.After(until) {
			until = answers
		}
	}
	if !notAfter.IsZero() && until.After(notAfter) {
		until = notAfter
	}
	if !until.After(s.now()) {
		return time.Time{}
	}
	return until
}

// asksOnline reports whether a certificate has an OCSP address (RFC 5280 section
// 4.2.2.1).
func asksOnline(der []byte) bool {
	cert, err := x509.ParseCertificate(der)
	return err == nil && len(cert.OCSPServer) > 0
}

// ocspStatus is what OCSP responses say about a revocation at that time.
func (s adminPages) ocspStatus(revoked time.Time, online bool) string {
	health := s.ocspState()
	switch {
	case !online:
		return page.OCSPNone
	case health == nil:
		return page.OCSPOff
	case health.Signer == nil || !health.Followed.After(revoked):
		return page.OCSPStale
	}
	return page.OCSPRevoked
}

// revocationStatus is the current state of a revocation; nil for other certificates.
func (s adminPages) revocationStatus(ctx context.Context, d admin.CertificateDetail) (*page.AdminRevocationStatus, error) {
	if d.State != admin.Revoked {
		return nil, nil
	}
	online := asksOnline(d.DER)
	t := &page.AdminRevocationStatus{
		At: d.RevokedAt, Role: d.RevokedRole, Cause: string(d.Cause), Why: d.Comment, Code: d.Reason,
		List: d.ListedIn, Listed: d.ListedAt,
		Elsewhere: d.Elsewhere, Confirmed: d.Confirmed, ByHost: d.ConfirmedBy == enroll.ByRevoker, Tries: d.Tries, Obstacle: d.Obstacle,
		OCSP:  s.ocspStatus(d.RevokedAt, online),
		Until: s.acceptedUntil(d.RevokedAt, d.ListsUntil, d.NotAfter, online),
	}
	if d.Elsewhere {
		t.NamedAt, t.NamedIn, t.NamedNumber, t.NamedOnline = d.Named.Update, d.Named.In, d.Named.Number, d.Named.Online
		t.Absent, t.Until = d.Absent, s.acceptedUntil(d.RevokedAt, d.AbsentUntil, d.NotAfter, false)
	}
	by := portal.PersonID(d.RevokedBy)
	names, err := s.personNames(ctx, []portal.PersonID{by})
	t.By = cmp.Or(names[by], d.RevokedBy)
	return t, err
}

// lastRevocationStatus is the status of the certificate among the rows that was
// revoked last, nil without one. It shows the effect of revoking several at once.
func (s adminPages) lastRevocationStatus(r *http.Request, rows []admin.Certificate) (*page.AdminRevocationStatus, error) {
	var last admin.Certificate
	for _, c := range rows {
		if c.State == admin.Revoked && c.RevokedAt.After(last.RevokedAt) {
			last = c
		}
	}
	if last.Serial.IsZero() {
		return nil, nil
	}
	d, err := s.admin.Certificate(r.Context(), actorOf(r), last.Serial)
	if err != nil {
		return nil, err
	}
	t, err := s.revocationStatus(r.Context(), d)
	if t != nil {
		t.Serial = last.Serial.String()
	}
	return t, err
}

// personNames returns the known names of people.
func (s *Server) personNames(ctx context.Context, ids []portal.PersonID) (map[portal.PersonID]string, error) {
	return s.store.PersonNames(ctx, ids)
}
