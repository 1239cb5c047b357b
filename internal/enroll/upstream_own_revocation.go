package enroll

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// endRevoked ends certificates that the portal believes valid and that a list names: the CA
// revoked them by itself, and servers refuse them. The CA is asked to revoke one on hold for
// good: it would come back to life unseen. Of more than [maxHolds] at once none is ended.
func (l *listLook) endRevoked(ctx context.Context) error {
	var errs []error
	ended, holds := false, l.countHolds()
	for id, g := range l.groups {
		for serial, n := range g.named {
			if !l.watched.InForce[serial] || n.Unsure || n.Hold() && holds > maxHolds {
				continue
			}
			done, err := l.endOne(ctx, id, g, n)
			errs, ended = append(errs, err), ended || done
		}
	}
	if ended {
		l.c.Revoked()
	}
	return errors.Join(errs...)
}

// countHolds counts the valid certificates on hold. Too many are noted with their lists.
func (l *listLook) countHolds() int {
	found, held := 0, make(map[string]int)
	for _, g := range l.groups {
		for serial, n := range g.named {
			if l.watched.InForce[serial] && n.Hold() && !n.Unsure {
				found++
				held[n.List.URL]++
			}
		}
	}
	if found > maxHolds {
		l.c.Log.Warn("another CA put too many certificates on hold at once: none is ended", "authority", l.u.Name, "certificates", found, "bound", maxHolds)
		l.held = held
	}
	return found
}

func (l *listLook) endOne(ctx context.Context, id string, g *listGroup, n fetch.Naming) (bool, error) {
	der, err := l.c.Store.CertificateOf(ctx, l.u.Name, n.Serial)
	if errors.Is(err, portal.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || cert.CheckSignatureFrom(g.issuer) != nil {
		return false, nil // of another issuer of this CA, which counts from one too
	}
	entry := portal.Actor{}.Entry(l.now, audit.CertificateRevoked)
	entry.Actor = l.u.Name
	entry.Detail = map[string]string{"comment": fmt.Sprintf("the list %s of %s at %s names it (reason %d, since %s)",
		cmp.Or(n.List.Number, "without a number"), n.List.ThisUpdate.UTC().Format(time.RFC3339), cut(n.List.URL), n.Reason, n.At.UTC().Format(time.RFC3339))}
	ended, err := l.c.Store.Revoke(ctx, Revocation{Serials: []ca.Serial{n.Serial}, Cause: portal.ByAuthority, At: l.now, Entry: entry})
	if err != nil || !slices.Contains(ended, n.Serial) {
		return false, err
	}
	l.c.Log.Warn("another CA revoked a certificate by itself", "authority", l.u.Name, "serial", n.Serial.String(), "reason", n.Reason, "list", n.List.URL, "number", n.List.Number)
	v := UpstreamListing{Serial: n.Serial, Authority: l.u.Name, Points: id}
	l.nameIn(&v, n)
	return true, l.c.Store.NoteUpstreamListings(ctx, []UpstreamListing{v})
}
