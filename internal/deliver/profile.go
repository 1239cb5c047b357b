package deliver

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/micromdm/plist"
	"golang.org/x/text/unicode/norm"
)

// Target is the kind of device that a profile is for, with the values of the key
// TargetDeviceType.
type Target int

// The targets. TargetPhone covers iPhone and iPad, as in Apple's key.
const (
	TargetPhone Target = 1
	TargetMac   Target = 5
)

// maxProfileText bounds each text of a profile in characters; a phone shows a few
// lines.
const maxProfileText = 2000

// Profile is a configuration profile for an iPhone, an iPad or a Mac: trust anchors,
// issuing CA, identity, and the Exchange account that uses it. The keys are those of
// Apple's device-management schema.
//
// A profile replaces one with the same Identifier on a device. Their payloads of the
// same kind have the same identifier and, except for the identity, the same UUID, so
// that the device updates the account instead of adding a second one.
type Profile struct {
	// Target is the device. Only a phone gets the Exchange account: a Mac has no
	// ActiveSync.
	Target Target

	// Identifier identifies the profile permanently, in reverse DNS form, such as
	// com.example.certs.k3m7: one per device of a person.
	Identifier string

	// Name, Description and Organization are shown before the installation. Control
	// and bidirectional characters are dropped from them and all other texts.
	// Description and Organization are optional.
	Name, Description, Organization string

	// Consent is a text that the person must agree to before the installation; lines
	// may end in \n. Optional.
	Consent string

	// Anchors are the certificates to be trusted; self-signed ones become root
	// payloads. Issuing are the CAs between them and the identity; self-signed ones
	// are left out. Both are optional, and duplicates are dropped.
	Anchors, Issuing []*x509.Certificate

	// Identity is the key with its certificate. Its Format and Chain are ignored:
	// older Apple systems read FormatLegacy only, and a device would ask about CAs in
	// it twice. The profile does not contain the password, so that the device asks.
	Identity Bundle

	// Enrollment replaces Identity: the device makes its key itself. Exactly one of
	// the two is required.
	Enrollment *Enrollment

	// IdentityName is the title of the identity in the list of the profile's
	// contents. Optional.
	IdentityName string

	// Exchange is the mail account to be set up. Optional.
	Exchange *Exchange

	// RemoveAtEnd makes the device remove the profile, and the account with it, when
	// the certificate of Identity expires. Otherwise the device only shows that the
	// profile has expired. With an Enrollment the expiry is not known yet, and neither
	// happens.
	RemoveAtEnd bool
}

// XML makes the property list of the profile, unsigned. Equal profiles with a
// deterministic Identity.Rand give equal bytes. An error means that the Profile is
// invalid; it contains neither key nor password.
func (p Profile) XML() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("making profile: %w", err)
	}
	identity, uuid, err := p.identity()
	if err != nil {
		return nil, fmt.Errorf("making profile: %w", err)
	}
	top := profilePlist{
		payloadHead:      p.head("Configuration", p.Identifier, ""),
		PayloadContent:   append(p.certificates(), identity),
		TargetDeviceType: int(p.Target),
	}
	top.PayloadDisplayName, top.PayloadDescription = cleanText(p.Name), cleanText(p.Description)
	if p.Target == TargetMac {
		// The login keychain, not that of the system: the identity is personal.
		top.PayloadScope = "User"
	}
	if leaf := p.Identity.Leaf; leaf != nil {
		end := leaf.NotAfter.UTC()
		top.PayloadExpirationDate = &end
		if p.RemoveAtEnd {
			top.RemovalDate = &end
		}
	}
	if consent := cleanText(p.Consent); consent != "" {
		top.ConsentText = map[string]string{"default": consent}
	}
	if p.Exchange != nil {
		top.PayloadContent = append(top.PayloadContent, p.account(uuid))
	}
	list, err := plist.MarshalIndent(top, " ")
	if err != nil {
		return nil, fmt.Errorf("encoding profile: %w", err)
	}
	return list, nil
}

// check refuses a profile that a device would refuse or set up wrongly. PKCS12 checks
// the identity.
func (p Profile) check() error {
	switch {
	case p.Target != TargetPhone && p.Target != TargetMac:
		return fmt.Errorf("target %d is neither phone nor Mac", p.Target)
	case !ValidIdentifier(p.Identifier):
		return fmt.Errorf("identifier %.80q is not in reverse DNS form", p.Identifier)
	case cleanText(p.Name) == "":
		return errors.New("name is empty")
	case p.Identity.Leaf == nil && p.Enrollment == nil:
		return errors.New("no certificate given")
	case p.Identity.Leaf != nil && p.Enrollment != nil:
		return errors.New("both identity and enrolment given")
	case p.Exchange != nil && p.Target == TargetMac:
		return errors.New("a Mac has no Exchange ActiveSync account")
	}
	if p.Enrollment != nil {
		if err := p.Enrollment.check(); err != nil {
			return err
		}
	}
	if p.Exchange == nil {
		return nil
	}
	return p.Exchange.check()
}

// head makes the keys of every payload. kind is the last label of its identifier,
// empty for the profile itself.
func (p Profile) head(payloadType, identifier, kind string) payloadHead {
	if kind != "" {
		identifier += "." + kind
	}
	return payloadHead{
		PayloadType: payloadType, PayloadVersion: 1,
		PayloadIdentifier: identifier, PayloadUUID: nameUUID(identifier),
		PayloadOrganization: cleanText(p.Organization),
	}
}

// certificates makes the payloads of anchors and issuing CAs, each certificate once.
// Their identifiers depend on the certificate, so that a new anchor does not replace
// the old one in an update.
func (p Profile) certificates() []any {
	var payloads []any
	seen := map[string]bool{}
	for i, list := range [][]*x509.Certificate{p.Anchors, withoutRoots(p.Issuing)} {
		for _, c := range list {
			sum := sha256.Sum256(c.Raw)
			print := hex.EncodeToString(sum[:8])
			if seen[print] {
				continue
			}
			seen[print] = true
			kind, payloadType := [...]string{"anchor", "issuing"}[i]+"."+print, "com.apple.security.pkcs1"
			if bytes.Equal(c.RawSubject, c.RawIssuer) {
				payloadType = "com.apple.security.root"
			}
			payload := certificatePlist{payloadHead: p.head(payloadType, p.Identifier, kind), PayloadContent: c.Raw}
			payload.PayloadDisplayName = cleanText(c.Subject.CommonName)
			payload.PayloadCertificateFileName = print + ".cer"
			payloads = append(payloads, payload)
		}
	}
	return payloads
}

// identity makes the payload that the account authenticates with, and gives its UUID.
func (p Profile) identity() (payload any, uuid string, err error) {
	if p.Enrollment != nil {
		e := p.enrollment()
		return e, e.PayloadUUID, nil
	}
	b := p.Identity
	b.Format, b.Chain = FormatLegacy, nil
	file, err := PKCS12(b)
	if err != nil {
		return nil, "", err
	}
	k := p.keystore(file)
	return k, k.PayloadUUID, nil
}

// keystore makes the payload of key and certificate. Its UUID depends on the serial
// number too, because a device may keep the old key when identifier and UUID are
// unchanged.
func (p Profile) keystore(file []byte) identityPlist {
	payload := identityPlist{payloadHead: p.head("com.apple.security.pkcs12", p.Identifier, "identity"), PayloadContent: file}
	payload.PayloadUUID = nameUUID(payload.PayloadIdentifier + "/" + p.Identity.Leaf.SerialNumber.Text(16))
	payload.PayloadDisplayName = cleanText(p.IdentityName)
	payload.PayloadCertificateFileName = FileName(p.Organization, p.Identity.Name, 0, "p12")
	if p.Target == TargetMac {
		no := false
		payload.KeyIsExtractable = &no
	}
	return payload
}

// profilePlist is the top level of a profile.
type profilePlist struct {
	payloadHead
	PayloadContent        []any             `plist:"PayloadContent"`
	PayloadExpirationDate *time.Time        `plist:"PayloadExpirationDate,omitempty"`
	RemovalDate           *time.Time        `plist:"RemovalDate,omitempty"`
	PayloadScope          string            `plist:"PayloadScope,omitempty"`
	TargetDeviceType      int               `plist:"TargetDeviceType"`
	ConsentText           map[string]string `plist:"ConsentText,omitempty"`
}

// payloadHead holds the keys of every payload.
type payloadHead struct {
	PayloadType         string `plist:"PayloadType"`
	PayloadVersion      int    `plist:"PayloadVersion"`
	PayloadIdentifier   string `plist:"PayloadIdentifier"`
	PayloadUUID         string `plist:"PayloadUUID"`
	PayloadDisplayName  string `plist:"PayloadDisplayName,omitempty"`
	PayloadDescription  string `plist:"PayloadDescription,omitempty"`
	PayloadOrganization string `plist:"PayloadOrganization,omitempty"`
}

// certificatePlist is the payload com.apple.security.root or com.apple.security.pkcs1.
type certificatePlist struct {
	payloadHead
	PayloadContent             []byte `plist:"PayloadContent"`
	PayloadCertificateFileName string `plist:"PayloadCertificateFileName,omitempty"`
}

// identityPlist is the payload com.apple.security.pkcs12, without its password.
type identityPlist struct {
	payloadHead
	PayloadContent             []byte `plist:"PayloadContent"`
	PayloadCertificateFileName string `plist:"PayloadCertificateFileName,omitempty"`
	KeyIsExtractable           *bool  `plist:"KeyIsExtractable,omitempty"` // macOS only
}

// cleanText removes control and format characters (including bidirectional ones) and
// characters that are invalid in XML, and truncates at maxProfileText characters. Line
// ends stay.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar, !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, norm.NFC.String(s))
	s = strings.TrimSpace(squeeze(s, ' '))
	if r := []rune(s); len(r) > maxProfileText {
		return strings.TrimSpace(string(r[:maxProfileText]))
	}
	return s
}
