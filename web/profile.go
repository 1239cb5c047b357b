package web

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"certportal/internal/deliver"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// profileExt is the ending of the file that holds an Apple profile.
const profileExt = "mobileconfig"

// Apple is what the profiles for iPhone, iPad and Mac say. Every field is
// optional.
type Apple struct {
	// Identifier is the reverse DNS form that the identifiers of all profiles begin
	// with. A device takes a profile with another one for another profile and sets
	// up a second mailbox, so it must never change. The default is the host of the
	// public address, reversed.
	Identifier string

	// Organization stands on the screen that asks whether to install. The default
	// is Config.Org.
	Organization string

	// RemoveAtEnd makes devices remove a profile, mailbox included, when its
	// certificate ends.
	RemoveAtEnd bool
}

// profiles makes Apple profiles.
type profiles struct {
	signer    func() ([]*x509.Certificate, crypto.Signer)
	apple     Apple
	all       []Anchor            // to see who signed
	roots     []*x509.Certificate // to be trusted by phones
	strangers []*x509.Certificate // the same for Macs
}

// newProfiles refuses an identifier that is none; nil without a signer.
//
// A Mac trusts the roots of a profile for everything. The portal's own root
// signs people, whom a Mac need not know, so only phones get it: they ask their
// owner once more before they trust a root for servers.
func newProfiles(c Config, set anchors) (*profiles, error) {
	if c.ProfileSigner == nil {
		return nil, nil
	}
	p := &profiles{signer: c.ProfileSigner, apple: c.Apple, all: set.all}
	if p.apple.Identifier == "" {
		p.apple.Identifier = deliver.ReverseHost(c.PublicURL.Hostname())
	}
	// The id of a device follows; 64 characters leave room for it.
	id := p.apple.Identifier
	if !deliver.ValidIdentifier(id) || !deliver.ValidIdentifier(id+"."+strings.Repeat("x", 64)) {
		return nil, fmt.Errorf("web: identifier of profiles %.80q is not in reverse DNS form", p.apple.Identifier)
	}
	if p.apple.Organization == "" {
		p.apple.Organization = c.Org
	}
	for _, a := range set.all {
		if a.Own && a.Issuing {
			continue
		}
		p.roots = append(p.roots, a.Cert)
		if !a.Own {
			p.strangers = append(p.strangers, a.Cert)
		}
	}
	return p, nil
}

// unverified reports whether devices do not know who signed: an anchor of ours
// did, or nobody.
func (p *profiles) unverified() bool {
	chain, _ := p.signer()
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawIssuer, c.RawSubject) || slices.ContainsFunc(p.all, func(a Anchor) bool {
			return bytes.Equal(c.RawIssuer, a.Cert.RawSubject)
		})
	})
}

// targetOf is the kind of device that a profile is for; false for platforms
// without profiles.
func targetOf(p portal.Platform) (deliver.Target, bool) {
	switch p {
	case portal.IOS:
		return deliver.TargetPhone, true
	case portal.MacOS:
		return deliver.TargetMac, true
	}
	return 0, false
}

// profileQuery names all that a profile depends on beside its pickup, so that
// whoever fetches the address gets the same bytes, in whatever language a
// download manager asks.
func profileQuery(platform, lang string) string {
	return url.Values{"p": {platform}, "text": {lang}}.Encode()
}

// makeProfile makes and signs the profile now, from the sealed key. The answer
// for a phone is to be shown, not saved. Signed is at the time the pickup was
// made: a retry and a range are of the same file, to the byte.
func (s fileDownloads) makeProfile(r *http.Request, file enroll.File) (data []byte, shown bool, err error) {
	target, ok := targetOf(file.Device.Platform)
	if !ok {
		target = deliver.TargetPhone
	}
	target, lang, err := profileAsked(r, target)
	if err != nil {
		return nil, false, err
	}
	content, err := s.profileOf(r.Context(), file, target, lang)
	if err != nil {
		return nil, false, err
	}
	data, err = s.signProfile(content, file.Expires.Add(-enroll.PickupLife))
	return data, target == deliver.TargetPhone, err
}

// profileAsked reads what profileQuery wrote. Without a platform it is the usual
// one.
func profileAsked(r *http.Request, usual deliver.Target) (target deliver.Target, lang string, err error) {
	target, ok := usual, true
	if asked := r.URL.Query()["p"]; len(asked) > 0 {
		target, ok = targetOf(portal.Platform(asked[0]))
	}
	lang = r.URL.Query().Get("text")
	if !ok || lang != "" && !slices.Contains(page.Languages(), lang) {
		return 0, "", fmt.Errorf("%w: no profile of that kind", errForm)
	}
	return target, lang, nil
}

// signProfile makes the file of a profile.
func (s fileDownloads) signProfile(content deliver.Profile, at time.Time) ([]byte, error) {
	list, err := content.XML()
	if err != nil {
		return nil, err
	}
	chain, key := s.profiles.signer()
	return deliver.Sign(list, deliver.Signer{Chain: chain, Key: key}, at)
}

// profileOf gathers what goes into a profile.
func (s fileDownloads) profileOf(ctx context.Context, file enroll.File, target deliver.Target, lang string) (deliver.Profile, error) {
	identity, err := bundleOf(file, deliver.FormatLegacy)
	if err != nil {
		return deliver.Profile{}, err
	}
	mailbox, err := s.mailbox(ctx, file.Device)
	if err != nil {
		return deliver.Profile{}, err
	}
	p := s.newProfile(file.Device, target, mailbox)
	p.Issuing, p.Identity = file.Chain, identity
	return p, s.fillTexts(&p, lang, file.Device.Name)
}

// newProfile gathers what does not depend on how the device gets its key. What
// makes it the profile of the device never changes, so that the next one takes
// its place.
func (s fileDownloads) newProfile(d portal.Device, target deliver.Target, mailbox page.Mailbox) deliver.Profile {
	p := deliver.Profile{
		Target: target, Identifier: s.profiles.apple.Identifier + "." + string(d.ID),
		Organization: s.profiles.apple.Organization, RemoveAtEnd: s.profiles.apple.RemoveAtEnd,
		Anchors: s.profiles.roots,
	}
	switch {
	case target == deliver.TargetMac:
		p.Anchors = s.profiles.strangers
	case mailbox.Host != "":
		p.Exchange = &deliver.Exchange{
			Host: mailbox.Host, UserName: mailbox.User, EmailAddress: mailbox.Address, SyncDays: s.exchange.SyncDays,
			SMIMESign: s.exchange.SMIMESign, SMIMEEncrypt: s.exchange.SMIMEEncrypt,
		}
	}
	return p
}

// fillTexts puts the words into a profile that is complete otherwise.
func (s fileDownloads) fillTexts(p *deliver.Profile, lang, device string) error {
	texts, err := s.renderer.ProfileTexts(lang, device, p.Exchange != nil, len(p.Anchors))
	if err != nil {
		return err
	}
	p.Name, p.Description, p.Consent, p.IdentityName = texts.Name, texts.Description, texts.Consent, texts.Identity
	return nil
}
