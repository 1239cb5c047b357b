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

// profileExt is the file name extension of Apple profiles.
const profileExt = "mobileconfig"

// Apple configures the profiles for iPhone, iPad and Mac. Every field is optional.
type Apple struct {
	// Identifier is the prefix of all profiles' identifiers, in reverse DNS form. It
	// must never change: a device treats a profile with another identifier as a new one
	// and sets up a second mailbox. The default is the host of the public address,
	// reversed.
	Identifier string

	// Organization is shown when the device asks whether to install the profile. The
	// default is Config.Org.
	Organization string

	// RemoveAtEnd makes devices remove a profile, mailbox included, when its
	// certificate ends.
	RemoveAtEnd bool
}

// profiles makes Apple profiles.
type profiles struct {
	signer func() ([]*x509.Certificate, crypto.Signer)
	apple  Apple
}

// newProfiles refuses an invalid identifier; it returns nil without a signer.
func newProfiles(c Config) (*profiles, error) {
	if c.ProfileSigner == nil {
		return nil, nil
	}
	p := &profiles{signer: c.ProfileSigner, apple: c.Apple}
	if p.apple.Identifier == "" {
		p.apple.Identifier = deliver.ReverseHost(c.PublicURL.Hostname())
	}
	// 64 characters leave room for the id of a device.
	id := p.apple.Identifier
	if !deliver.ValidIdentifier(id) || !deliver.ValidIdentifier(id+"."+strings.Repeat("x", 64)) {
		return nil, fmt.Errorf("web: identifier of profiles %.80q is not in reverse DNS form", p.apple.Identifier)
	}
	if p.apple.Organization == "" {
		p.apple.Organization = c.Org
	}
	return p, nil
}

// unverified reports whether devices cannot verify the signer: its chain ends at an
// anchor of ours, or is self-signed.
func (s *Server) unverified() bool {
	chain, _ := s.profiles.signer()
	return slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawIssuer, c.RawSubject) || slices.ContainsFunc(s.anchors().all, func(a Anchor) bool {
			return bytes.Equal(c.RawIssuer, a.Cert.RawSubject)
		})
	})
}

// targetOf is the kind of device that a profile is for; false for platforms without
// profiles.
func targetOf(p portal.Platform) (deliver.Target, bool) {
	switch p {
	case portal.IOS:
		return deliver.TargetPhone, true
	case portal.MacOS:
		return deliver.TargetMac, true
	}
	return 0, false
}

// profileQuery holds all inputs of a profile besides its pickup, so that every
// download of the address gets the same bytes, in any Accept-Language.
func profileQuery(platform, lang string) string {
	return url.Values{"p": {platform}, "text": {lang}}.Encode()
}

// makeProfile makes and signs the profile from the encrypted key. Phones show the
// file, Macs save it. The signing time is that of the pickup, so that a retry and a
// range get the same bytes.
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

// profileAsked parses [profileQuery]. Without a platform it returns the usual target.
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

// signProfile encodes and signs a profile.
func (s fileDownloads) signProfile(content deliver.Profile, at time.Time) ([]byte, error) {
	list, err := content.XML()
	if err != nil {
		return nil, err
	}
	chain, key := s.profiles.signer()
	return deliver.Sign(list, deliver.Signer{Chain: chain, Key: key}, at)
}

// profileOf collects the content of a profile.
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

// newProfile sets what does not depend on how the device gets its key. The identifier
// of a device never changes, so that its next profile replaces this one; and a phone that
// is enrolled again gets the one it had, so that no second mailbox is added.
func (s fileDownloads) newProfile(d portal.Device, target deliver.Target, mailbox page.Mailbox) deliver.Profile {
	p := deliver.Profile{
		Target: target, Identifier: s.profiles.apple.Identifier + "." + d.ProfileName(),
		Organization: s.profiles.apple.Organization, RemoveAtEnd: s.profiles.apple.RemoveAtEnd,
		Anchors: s.anchors().roots,
	}
	switch {
	case target == deliver.TargetMac:
		p.Anchors = s.anchors().foreign
	case mailbox.Host != "":
		p.Exchange = &deliver.Exchange{
			Host: mailbox.Host, UserName: mailbox.User, EmailAddress: mailbox.Address, SyncDays: s.exchange.SyncDays,
			SMIMESign: s.exchange.SMIMESign, SMIMEEncrypt: s.exchange.SMIMEEncrypt,
		}
	}
	return p
}

// fillTexts sets the texts of an otherwise complete profile.
func (s fileDownloads) fillTexts(p *deliver.Profile, lang, device string) error {
	texts, err := s.renderer.ProfileTexts(lang, device, p.Exchange != nil, len(p.Anchors))
	if err != nil {
		return err
	}
	p.Name, p.Description, p.Consent, p.IdentityName = texts.Name, texts.Description, texts.Consent, texts.Identity
	return nil
}
