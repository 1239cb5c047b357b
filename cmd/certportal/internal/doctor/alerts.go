package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/auditmonitor"
	"certportal/internal/ops"
	"certportal/internal/succession"
	"certportal/store"
)

// caAlerts returns the alerts about the CAs, their CRLs, the OCSP responder and
// certificates that end.
func (d *Doctor) caAlerts() []admin.Alert {
	var list []admin.Alert
	switch {
	case d.c.CA.Stopped():
		list = append(list, d.stoppedAlert())
	case clocks{d}.fault() != nil: // says itself that nothing is issued
	case d.c.CA.Ready() != nil:
		list = append(list, admin.Alert{Key: "sealed", Critical: true})
	}
	for _, r := range d.c.CA.Line.Missing() {
		list = append(list, admin.Alert{Key: "ca-missing", Critical: r.State != succession.Pending && r.State != succession.Retired, Value: r.Name, Path: caPage})
	}
	for _, h := range d.c.Lists.Health() {
		list = append(list, d.crlAlerts(h)...)
	}
	if d.c.Journal != nil {
		if text, since := d.c.Journal.Trouble(); text != "" {
			list = append(list, admin.Alert{Key: "journal", Critical: true, At: since, Value: text})
		}
	}
	return slices.Concat(list, d.companyAlerts(), d.ocspAlerts(), d.ExpiryAlerts())
}

// stoppedAlert says that the CA that issued was revoked, the last one of several.
func (d *Doctor) stoppedAlert() admin.Alert {
	var last succession.Record
	for _, of := range d.c.CA.Line.All() {
		if of.Record.State == succession.Revoked && of.Record.RevokedAt.After(last.RevokedAt) {
			last = of.Record
		}
	}
	return admin.Alert{Key: "ca-revoked", Critical: true, Value: last.Name, At: last.RevokedAt, Path: caPage}
}

// ExpiryAlerts returns the alerts about certificates that end.
func (d *Doctor) ExpiryAlerts() []admin.Alert {
	var list []admin.Alert
	for _, cert := range d.c.CA.InUse() {
		left := cert.NotAfter.Sub(d.c.Now())
		if near := admin.ExpiryLevelOf(left); near != admin.ExpiryFar {
			list = append(list, admin.Alert{
				Key: "ca-ends", Critical: near != admin.ExpirySoon, At: cert.NotAfter, Value: cert.Subject.CommonName, Number: wholeDays(left), Path: caPage,
			})
		}
	}
	list = append(list, d.shortenedAlert()...)
	for _, w := range d.watchedCertificates() {
		list = append(list, d.expiryAlert(w)...)
	}
	return list
}

// caPage is the address of the administrators' page about the CAs.
const caPage = "/admin/ca"

func wholeDays(left time.Duration) int { return max(0, int(left/(24*time.Hour))) }

// lastDay is how long before its end an alert about a CRL is critical in any case: a
// day and an hour are left to repair the cause.
const lastDay = 25 * time.Hour

// crlAlerts returns the alerts about one CRL.
func (d *Doctor) crlAlerts(h crl.Health) []admin.Alert {
	name, left := h.Issuer, h.List.NextUpdate.Sub(d.c.Now())
	if h.Delta {
		name += " (delta)"
	}
	c := admin.Alert{At: h.List.NextUpdate, Value: name, Number: lifeOver(h.List, d.c.Now()), Path: caPage}
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
	// Without a delta CRL, clients use the complete one.
	c.Critical = !h.Delta && (c.Key == "list-none" || c.Key == "list-late" || left < lastDay)
	var list []admin.Alert
	if c.Key != "" && !(h.Delta && h.List.Number == 0) {
		list = append(list, c)
	}
	for _, t := range h.Targets {
		if t.Trouble != "" {
			list = append(list, admin.Alert{Key: "list-target", At: t.At, Value: t.Name, Path: caPage})
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

func (d *Doctor) ocspAlerts() []admin.Alert {
	h := d.c.OCSP()
	switch {
	case h == nil || d.c.CA.Ready() != nil && h.Signer == nil:
		return nil // the alert about the sealed CA says so
	case h.Signer == nil || !d.c.Now().Before(h.Signer.NotAfter):
		return []admin.Alert{{Key: "online-signer", Critical: true, At: h.Since, Path: caPage}}
	case !h.Followed.IsZero() && d.c.Now().Sub(h.Followed) > maxLag:
		return []admin.Alert{{Key: "online-late", Critical: true, At: h.Followed, Path: caPage}}
	case h.Trouble != "":
		return []admin.Alert{{Key: "online-trouble", At: h.Since, Value: h.Trouble, Path: caPage}}
	}
	return nil
}

// shortenedAlert warns that the issuing CA soon ends before a certificate of full
// length would.
func (d *Doctor) shortenedAlert() []admin.Alert {
	active, ok := d.c.CA.Line.Active()
	if !ok {
		return nil
	}
	issuing := active.Certificate
	last := issuing.NotAfter.Add(-d.c.Settings.Validity())
	left := last.Sub(d.c.Now())
	near := admin.ExpiryLevelOf(left)
	if near == admin.ExpiryFar || admin.ExpiryLevelOf(issuing.NotAfter.Sub(d.c.Now())) != admin.ExpiryFar {
		return nil // far, or there is an alert about its end
	}
	return []admin.Alert{{Key: "ca-short", Critical: near != admin.ExpirySoon, At: last, Value: issuing.Subject.CommonName, Number: wholeDays(left), Path: caPage}}
}

// watchedCertificate is a certificate of the portal other than the CAs'.
type watchedCertificate struct {
	label, name string // for metrics, and for people
	cert        *x509.Certificate
}

// watchedCertificates are the TLS certificate, the OCSP signer and the profile signer.
func (d *Doctor) watchedCertificates() []watchedCertificate {
	var list []watchedCertificate
	if served := d.c.TLS(); served != nil {
		list = append(list, watchedCertificate{"tls", "TLS", served})
	}
	if h := d.c.OCSP(); h != nil && h.Signer != nil {
		list = append(list, watchedCertificate{"ocsp", h.Signer.Subject.CommonName, h.Signer})
	}
	if d.c.Settings.Apple.SignerCertificate != "" && d.c.ProfileSigner != nil {
		if chain, _ := d.c.ProfileSigner(); len(chain) > 0 {
			list = append(list, watchedCertificate{"profiles", chain[0].Subject.CommonName, chain[0]})
		}
	}
	return list
}

// expiryAlert raises an alert in the last quarter of a certificate's life, at most 30
// days before its end: certificates that renew themselves are renewed by then.
func (d *Doctor) expiryAlert(w watchedCertificate) []admin.Alert {
	const atMost = 30 * 24 * time.Hour
	early := min(atMost, w.cert.NotAfter.Sub(w.cert.NotBefore)/4)
	left := w.cert.NotAfter.Sub(d.c.Now())
	if left > early {
		return nil
	}
	return []admin.Alert{{Key: "certificate-ends", Critical: left < early/3, At: w.cert.NotAfter, Value: w.name, Number: wholeDays(left)}}
}

// Expiries are the ends of all certificates of the portal, for the metrics.
func (d *Doctor) Expiries() []ops.Certificate {
	list := []ops.Certificate{{Name: localca.RootName, NotAfter: d.c.CA.Folder.Root().NotAfter}}
	for _, of := range d.c.CA.Line.All() {
		list = append(list, ops.Certificate{Name: of.Name, NotAfter: of.Certificate.NotAfter})
	}
	for _, w := range d.watchedCertificates() {
		list = append(list, ops.Certificate{Name: w.label, NotAfter: w.cert.NotAfter})
	}
	return list
}

// LogExpiries returns a function that logs the expiry alerts of the moment. Call it
// at start and every hour.
func (d *Doctor) LogExpiries() func(context.Context) {
	l := &expiryLog{log: d.c.Log}
	return func(ctx context.Context) { l.write(ctx, d.ExpiryAlerts(), d.c.Now()) }
}

// expiryLog logs an alert when it is raised, when it becomes critical, and once a day.
// CRLs and OCSP are not logged here: the publisher and the responder do that.
type expiryLog struct {
	log  *slog.Logger
	said map[string]time.Time
}

func (l *expiryLog) write(ctx context.Context, list []admin.Alert, now time.Time) {
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
	l.said = there // an alert that went away is logged again when it comes back
}

// identity is equal for alerts that need no second log record on the same day: it
// changes with the level of an alert, not with the days that pass.
func identity(c admin.Alert) string {
	return fmt.Sprint(c.Key, "|", c.Value, "|", admin.ExpiryLevelOf(config.Days(c.Number)), "|", c.Critical)
}

// Alerts returns what needs attention. A part that does not answer is an alert, too.
func (d *Doctor) Alerts(ctx context.Context) []admin.Alert {
	list := append(clocks{d}.alerts(), d.caAlerts()...)
	switch err := d.c.DB.Stopped(); {
	case errors.Is(err, store.ErrSchemaNewer):
		list = append(list, admin.Alert{Key: "schema-newer", Critical: true, Value: d.c.DB.Node(), Path: "/admin/checks"})
	case errors.Is(err, store.ErrMoved):
		list = append(list, admin.Alert{Key: "records-moved", Critical: true, Value: d.c.DB.Node(), Path: "/admin/checks"})
	}
	if state, err := d.c.DB.DriftState(ctx); err != nil || !state.Stopped.IsZero() {
		list = append(list, admin.Alert{Key: "watch", Critical: true, At: state.Stopped, Value: string(state.Reason)})
	}
	list = append(list, d.protectedAlerts(ctx)...)
	list = append(list, d.restoredAlerts(ctx)...)
	list = append(list, d.upstreamAlerts(ctx)...)
	list = append(list, tlsCheck{d}.alerts(ctx)...)
	list = append(list, d.mailAlerts(ctx)...)
	return append(list, d.auditAlerts(ctx)...)
}

// protectedAlerts reports people who became protected and still have certificates: within
// the grace period, or for as long as the settings ask for an alarm only.
func (d *Doctor) protectedAlerts(ctx context.Context) []admin.Alert {
	people, since, err := d.c.DB.ProtectedHolders(ctx, d.c.Now())
	if err != nil {
		d.c.Log.Error("counting protected people with certificates", "err", err)
		return nil
	}
	if people == 0 {
		return nil
	}
	return []admin.Alert{{Key: "protected", Critical: true, Number: people, At: since}}
}

// shownAccounts bounds the names in an alert.
const shownAccounts = 30

// restoredAlerts says that the database is an older copy, until an administrator resumes
// issuing. Passwords and roles of built-in accounts are then those of the copy.
func (d *Doctor) restoredAlerts(ctx context.Context) []admin.Alert {
	halt, err := d.c.DB.Halted(ctx)
	if err != nil || halt.Reason != admin.RestoredCopy {
		return nil // an error is the overview's own
	}
	alert := admin.Alert{Key: "restored", Critical: true, At: halt.Since, Path: "/admin/halt"}
	if d.c.Settings.Directory.Kind != config.KindBuiltin {
		return []admin.Alert{alert}
	}
	accounts, err := d.c.DB.Accounts(ctx)
	if err != nil {
		d.c.Log.Error("listing built-in accounts to check after a restore", "err", err)
	}
	if len(accounts) == 0 {
		return []admin.Alert{alert}
	}
	var names []string
	for _, a := range accounts[:min(len(accounts), shownAccounts)] {
		names = append(names, a.Login)
	}
	if len(accounts) > shownAccounts {
		names = append(names, "…")
	}
	alert.Key, alert.Value, alert.Number = "restored-accounts", strings.Join(names, ", "), len(accounts)
	return []admin.Alert{alert}
}

func (d *Doctor) mailAlerts(ctx context.Context) []admin.Alert {
	if d.c.Mail == nil {
		return nil
	}
	state, err := d.c.Mail.State(ctx)
	switch {
	case err != nil || !state.Failing.IsZero():
		return []admin.Alert{{Key: "mail", At: state.Failing, Value: state.Reason, Number: state.Waiting}}
	case state.Failed > 0:
		return []admin.Alert{{Key: "letters", Number: state.Failed, Path: "/admin/mail"}}
	}
	return nil
}

func (d *Doctor) auditAlerts(ctx context.Context) []admin.Alert {
	state, err := auditmonitor.StateOf(ctx, d.c.DB)
	if err != nil {
		d.c.Log.Error("reading state of the ledger", "err", err)
		return nil
	}
	var list []admin.Alert
	if b := state.Verification.Broken; b != nil {
		list = append(list, admin.Alert{Key: "ledger", Critical: true, Number: int(b.Seq), At: state.Verification.Since, Path: "/admin/audit"})
	}
	for _, r := range state.Cursors {
		if r.Failure != "" {
			list = append(list, admin.Alert{Key: "reader", At: r.Since, Value: r.Name, Number: int(state.Behind(r)), Path: "/admin/audit"})
		}
	}
	return list
}
