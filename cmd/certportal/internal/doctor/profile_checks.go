package doctor

import (
	"context"
	"time"

	"certportal/internal/portal"
)

// profileWarning is how long before its end the check warns about the signer of profiles.
const profileWarning = 30 * 24 * time.Hour

// checkProfiles looks at the certificate that signs the profiles of iPhones and Macs.
func (d *Doctor) checkProfiles(context.Context) []portal.Finding {
	const what = "apple.signer_certificate"
	if d.c.Settings.Apple.SignerCertificate == "" {
		return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("profiles-site", "not set: the certificate of the site signs profiles"))}
	}
	chain, key := d.c.ProfileSigner()
	if len(chain) == 0 || key == nil {
		return []portal.Finding{portal.NewFinding(what, portal.FindingFailed, portal.Say("profiles-unread", "certificate and key cannot be read or do not belong together"))}
	}
	end, now := chain[0].NotAfter, d.c.Now()
	day := end.In(d.c.Settings.Location()).Format(time.DateOnly)
	switch {
	case !now.Before(end):
		return []portal.Finding{portal.NewFinding(what, portal.FindingFailed, portal.Say("profiles-ended", "it ended on %s: iPhones show profiles as not verified", day))}
	case now.Before(chain[0].NotBefore):
		return []portal.Finding{portal.NewFinding(what, portal.FindingFailed, portal.Say("profiles-early", "it is not valid before %s", chain[0].NotBefore.UTC().Format(time.DateOnly)))}
	case end.Sub(now) < profileWarning:
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning, portal.Say("profiles-soon", "it ends on %s: renew it", day))}
	}
	return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("profiles-fine", "it signs profiles until %s", day))}
}
