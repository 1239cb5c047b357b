package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/ops"
)

// authorityConcerns says what of the CAs, of what they publish, and of certificates
// that take long to replace needs attention: on the overview, and in the log.
func (p *App) authorityConcerns() []admin.Alert {
	var list []admin.Alert
	if p.CA.Sealed != nil {
		list = append(list, admin.Alert{Key: "sealed", Critical: true})
	}
	for _, h := range p.lists.Health() {
		list = append(list, p.listConcerns(h)...)
	}
	if p.journal != nil {
		if text, since := p.journal.Trouble(); text != "" {
			list = append(list, admin.Alert{Key: "journal", Critical: true, At: since, Value: text})
		}
	}
	return slices.Concat(list, p.onlineConcerns(), p.endConcerns())
}

// endConcerns tells of the certificates that end.
func (p *App) endConcerns() []admin.Alert {
	var list []admin.Alert
	for _, cert := range []*x509.Certificate{p.CA.Folder.Root(), p.CA.Folder.Issuing()} {
		left := cert.NotAfter.Sub(p.Now())
		if near := admin.ExpiryLevelOf(left); near != admin.ExpiryFar {
			list = append(list, admin.Alert{
				Key: "ca-ends", Critical: near != admin.ExpirySoon, At: cert.NotAfter, Value: cert.Subject.CommonName, Number: wholeDays(left), Path: authorityPage,
			})
		}
	}
	list = append(list, p.shortConcern()...)
	for _, w := range p.watchedCertificates() {
		list = append(list, p.endConcern(w)...)
	}
	return list
}

// authorityPage is where an administrator looks at the CAs.
const authorityPage = "/admin/ca"

func wholeDays(left time.Duration) int { return max(0, int(left/(24*time.Hour))) }

// lastDay is how long before its end a list is a grave matter in any case: there is
// a day left, and a little, to mend what keeps the next one from being made.
const lastDay = 25 * time.Hour

// listConcerns tells of one list.
func (p *App) listConcerns(h crl.Health) []admin.Alert {
	name, left := h.Issuer, h.List.NextUpdate.Sub(p.Now())
	if h.Delta {
		name += " (delta)"
	}
	c := admin.Alert{At: h.List.NextUpdate, Value: name, Number: lifeOver(h.List, p.Now()), Path: authorityPage}
	switch {
	case h.List.Number == 0:
		c.Key, c.At = "list-none", h.Since
	case h.Level >= crl.Ended:
		c.Key = "list-none"
	case h.Level >= crl.Late:
		c.Key = "list-late"
	case h.Level >= crl.Half:
		c.Key = "list-half"
	}
	// Without a delta list everybody goes by the complete one.
	c.Critical = !h.Delta && (c.Key == "list-none" || c.Key == "list-late" || left < lastDay)
	var list []admin.Alert
	if c.Key != "" && !(h.Delta && h.List.Number == 0) {
		list = append(list, c)
	}
	for _, t := range h.Targets {
		if t.Trouble != "" {
			list = append(list, admin.Alert{Key: "list-target", At: t.At, Value: t.Name, Path: authorityPage})
		}
	}
	return list
}

// lifeOver is how much of the life of a list is over, in percent.
func lifeOver(l crl.List, now time.Time) int {
	life := l.NextUpdate.Sub(l.ThisUpdate)
	if life <= 0 {
		return 0
	}
	return max(0, int(100*now.Sub(l.ThisUpdate)/life))
}

func (p *App) onlineConcerns() []admin.Alert {
	h := p.onlineHealth()
	switch {
	case h == nil || p.CA.Sealed != nil && h.Signer == nil:
		return nil // that nothing is signed is told already
	case h.Signer == nil || !p.Now().Before(h.Signer.NotAfter):
		return []admin.Alert{{Key: "online-signer", Critical: true, At: h.Since, Path: authorityPage}}
	case !h.Followed.IsZero() && p.Now().Sub(h.Followed) > followPatience:
		return []admin.Alert{{Key: "online-late", Critical: true, At: h.Followed, Path: authorityPage}}
	case h.Trouble != "":
		return []admin.Alert{{Key: "online-trouble", At: h.Since, Value: h.Trouble, Path: authorityPage}}
	}
	return nil
}

// shortConcern tells in time that the issuing CA cannot sign certificates of full
// length much longer: it would have to outlive them.
func (p *App) shortConcern() []admin.Alert {
	issuing := p.CA.Folder.Issuing()
	last := issuing.NotAfter.Add(-p.Settings.Validity())
	left := last.Sub(p.Now())
	near := admin.ExpiryLevelOf(left)
	if near == admin.ExpiryFar || admin.ExpiryLevelOf(issuing.NotAfter.Sub(p.Now())) != admin.ExpiryFar {
		return nil // far, or its very end is told of
	}
	return []admin.Alert{{Key: "ca-short", Critical: near != admin.ExpirySoon, At: last, Value: issuing.Subject.CommonName, Number: wholeDays(left), Path: authorityPage}}
}

// watchedCertificate is one whose end stops something, and that lives for a year or
// less.
type watchedCertificate struct {
	label, name string // for metrics, and for people
	cert        *x509.Certificate
}

// watchedCertificates are those beside the CAs that serve and sign.
func (p *App) watchedCertificates() []watchedCertificate {
	var list []watchedCertificate
	if served := p.tls.current.Load(); served != nil && served.Leaf != nil {
		list = append(list, watchedCertificate{"tls", "TLS", served.Leaf})
	}
	if h := p.onlineHealth(); h != nil && h.Signer != nil {
		list = append(list, watchedCertificate{"ocsp", h.Signer.Subject.CommonName, h.Signer})
	}
	if p.Settings.Apple.SignerCertificate != "" && p.signer != nil {
		if chain, _ := p.signer(); len(chain) > 0 {
			list = append(list, watchedCertificate{"profiles", chain[0].Subject.CommonName, chain[0]})
		}
	}
	return list
}

// endConcern tells of a certificate in the last quarter of its life, and 30 days before
// its end at the earliest: those that renew themselves have done so by then.
func (p *App) endConcern(w watchedCertificate) []admin.Alert {
	const atMost = 30 * 24 * time.Hour
	early := min(atMost, w.cert.NotAfter.Sub(w.cert.NotBefore)/4)
	left := w.cert.NotAfter.Sub(p.Now())
	if left > early {
		return nil
	}
	return []admin.Alert{{Key: "certificate-ends", Critical: left < early/3, At: w.cert.NotAfter, Value: w.name, Number: wholeDays(left)}}
}

// watchedEnds are the ends of all certificates of the portal, for the metrics.
func (p *App) watchedEnds() []ops.Certificate {
	list := []ops.Certificate{
		{Name: localca.RootName, NotAfter: p.CA.Folder.Root().NotAfter},
		{Name: localca.IssuingName, NotAfter: p.CA.Folder.Issuing().NotAfter},
	}
	for _, w := range p.watchedCertificates() {
		list = append(list, ops.Certificate{Name: w.label, NotAfter: w.cert.NotAfter})
	}
	return list
}

// endLog puts into the log which certificates end, when that begins, again when it
// becomes graver, and every day. Of lists and online answers their makers tell.
type endLog struct {
	log  *slog.Logger
	said map[string]time.Time
}

func (l *endLog) tell(ctx context.Context, list []admin.Alert, now time.Time) {
	there := map[string]time.Time{}
	for _, c := range list {
		id := identity(c)
		there[id] = l.said[id]
		if last, ok := l.said[id]; ok && now.Sub(last) < 24*time.Hour && !now.Before(last) {
			continue
		}
		there[id] = now
		level := slog.LevelWarn
		if c.Critical {
			level = slog.LevelError
		}
		l.log.Log(ctx, level, "a certificate must be replaced in time", "concern", c.Key, "certificate", c.Value, "ends", c.At, "days", c.Number)
	}
	l.said = there // what went away is told again when it comes back
}

// identity tells apart what the log is to tell apart: not the days that pass, but the
// steps of an end.
func identity(c admin.Alert) string {
	return fmt.Sprint(c.Key, "|", c.Value, "|", admin.ExpiryLevelOf(config.Days(c.Number)), "|", c.Critical)
}
