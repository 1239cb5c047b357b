package doctor

import (
	"context"
	"crypto/x509"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/admin"
	"certportal/internal/portal"
)

// checkCA looks at the key and the ends of the CAs.
func (d *Doctor) checkCA(context.Context) []portal.Finding {
	if d.c.CA == nil {
		return []portal.Finding{d.caFailure("ca", d.caErr)}
	}
	ready, certs := d.c.CA.Sealed, inFolder(d.c.CA.Folder)
	if d.c.CA.Line != nil {
		ready, certs = d.c.CA.Ready(), d.c.CA.InUse()
	}
	list := []portal.Finding{found("issuing key", ready, portal.Say("ca-key", "it opens, certificates can be signed"))}
	if ready != nil {
		list[0] = d.caFailure("issuing key", ready)
	}
	for _, cert := range certs {
		end := cert.NotAfter.In(d.c.Settings.Location()).Format(time.DateOnly)
		state, said := portal.FindingFailed, portal.Say("ca-ends-now", "ends on %s: make its successor now", end)
		switch admin.ExpiryLevelOf(cert.NotAfter.Sub(d.c.Now())) {
		case admin.ExpiryFar:
			state, said = portal.FindingOK, portal.Say("ca-ends", "ends on %s", end)
		case admin.ExpirySoon:
			state, said = portal.FindingWarning, portal.Say("ca-ends-soon", "ends on %s: plan its successor", end)
		}
		list = append(list, portal.NewFinding(cert.Subject.CommonName, state, said))
	}
	return list
}

// inFolder gives the certificates of a CA's folder, while the database does not say which
// of them are in use.
func inFolder(folder *ca.Folder) []*x509.Certificate {
	certs := []*x509.Certificate{folder.Root()}
	for _, a := range folder.Authorities() {
		certs = append(certs, a.Certificate)
	}
	return certs
}

// checkCRLs looks at the lists in force, and at the places that they are copied to.
func (d *Doctor) checkCRLs(ctx context.Context) []portal.Finding {
	var list []portal.Finding
	for _, h := range d.c.Lists.Health() {
		list = append(list, d.checkCRL(h)...)
	}
	if d.c.CheckTargets != nil {
		list = append(list, d.c.CheckTargets(ctx)...)
	}
	return list
}

// checkCRL looks at one list. What the publisher could not do is a finding of its own, in
// the words of the system.
func (d *Doctor) checkCRL(h crl.Health) []portal.Finding {
	what := "revocation list of " + h.Issuer
	if h.Delta {
		what = "delta " + what
	}
	number, entries, until := h.List.Number, h.List.Entries, h.List.NextUpdate.In(d.c.Settings.Location()).Format(time.DateTime+" MST")
	state, said := portal.FindingOK, portal.Say("crl", "number %d with %d entries, valid until %s", number, entries, until)
	switch {
	case number == 0 || h.Level >= crl.Ended:
		state, said = portal.FindingFailed, portal.Say("crl-none", "there is none that is valid: servers that check certificates refuse them all; see the log")
	case h.Level >= crl.Late:
		state, said = portal.FindingFailed, portal.Say("crl-late", "number %d with %d entries, valid until %s; %d percent of its life are over, see the log", number, entries, until, lifeOver(h.List, d.c.Now()))
	case h.Level >= crl.Half:
		state, said = portal.FindingWarning, portal.Say("crl-half", "number %d with %d entries, valid until %s; it should have been renewed by now, see the log", number, entries, until)
	}
	list := []portal.Finding{portal.NewFinding(what, state, said)}
	if h.Trouble != "" {
		list = append(list, portal.Finding{What: what, State: portal.FindingWarning, Text: h.Trouble})
	}
	return list
}
