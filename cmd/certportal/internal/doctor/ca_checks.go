package doctor

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"certportal/ca/crl"
	"certportal/internal/admin"
	"certportal/internal/portal"
)

// chain is the root, the issuing CA, and under a company's root the CAs between.
func (d *Doctor) chain() []*x509.Certificate {
	return append([]*x509.Certificate{d.c.CA.Folder.Root()}, d.c.CA.Chain()...)
}

// checkCA looks at the key and the ends of the CAs.
func (d *Doctor) checkCA(context.Context) []portal.Finding {
	list := []portal.Finding{found("issuing key", d.c.CA.Sealed, "it opens, certificates can be signed")}
	for _, cert := range d.chain() {
		f := portal.Finding{What: cert.Subject.CommonName, State: portal.FindingOK, Text: "ends on " + cert.NotAfter.In(d.c.Settings.Location()).Format(time.DateOnly)}
		switch admin.ExpiryLevelOf(cert.NotAfter.Sub(d.c.Now())) {
		case admin.ExpiryFar:
		case admin.ExpirySoon:
			f.State, f.Text = portal.FindingWarning, f.Text+": plan its successor"
		default:
			f.State, f.Text = portal.FindingFailed, f.Text+": make its successor now"
		}
		list = append(list, f)
	}
	return list
}

// checkCRLs looks at the lists in force.
func (d *Doctor) checkCRLs(context.Context) []portal.Finding {
	var list []portal.Finding
	for _, h := range d.c.Lists.Health() {
		list = append(list, d.checkCRL(h))
	}
	return list
}

func (d *Doctor) checkCRL(h crl.Health) portal.Finding {
	f := portal.Finding{What: "revocation list of " + h.Issuer, State: portal.FindingOK}
	if h.Delta {
		f.What = "delta " + f.What
	}
	f.Text = fmt.Sprintf("number %d with %d entries, valid until %s", h.List.Number, h.List.Entries, h.List.NextUpdate.In(d.c.Settings.Location()).Format(time.DateTime+" MST"))
	switch {
	case h.List.Number == 0 || h.Level >= crl.Ended:
		f.State, f.Text = portal.FindingFailed, "there is none that is valid: who Checks certificates refuses them all; see the log"
	case h.Level >= crl.Late:
		f.State, f.Text = portal.FindingFailed, f.Text+fmt.Sprintf("; %d percent of its life are over, see the log", lifeOver(h.List, d.c.Now()))
	case h.Level >= crl.Half:
		f.State, f.Text = portal.FindingWarning, f.Text+"; it should have been renewed by now, see the log"
	}
	if h.Trouble == "" {
		return f
	}
	if f.State == portal.FindingOK {
		f.State = portal.FindingWarning
	}
	f.Text += "; " + h.Trouble
	return f
}
