package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"certportal/ca/crl"
	"certportal/internal/admin"
	"certportal/internal/portal"
)

// checkCA looks at the key and the ends of the CAs.
func (p *App) checkCA(context.Context) []portal.Finding {
	list := []portal.Finding{found("issuing key", p.CA.Sealed, "it opens, certificates can be signed")}
	for _, cert := range []*x509.Certificate{p.CA.Folder.Root(), p.CA.Folder.Issuing()} {
		f := portal.Finding{What: cert.Subject.CommonName, State: portal.FindingOK, Text: "ends on " + cert.NotAfter.Local().Format(time.DateOnly)}
		switch admin.ExpiryLevelOf(cert.NotAfter.Sub(p.Now())) {
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

// checkLists looks at the lists in force.
func (p *App) checkLists(context.Context) []portal.Finding {
	var list []portal.Finding
	for _, h := range p.lists.Health() {
		list = append(list, p.checkList(h))
	}
	return list
}

func (p *App) checkList(h crl.Health) portal.Finding {
	f := portal.Finding{What: "revocation list of " + h.Issuer, State: portal.FindingOK}
	if h.Delta {
		f.What = "delta " + f.What
	}
	f.Text = fmt.Sprintf("number %d with %d entries, valid until %s", h.List.Number, h.List.Entries, h.List.NextUpdate.Local().Format(time.DateTime))
	switch {
	case h.List.Number == 0 || h.Level >= crl.Ended:
		f.State, f.Text = portal.FindingFailed, "there is none that is valid: who checks certificates refuses them all; see the log"
	case h.Level >= crl.Late:
		f.State, f.Text = portal.FindingFailed, f.Text+fmt.Sprintf("; %d percent of its life are over, see the log", lifeOver(h.List, p.Now()))
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
