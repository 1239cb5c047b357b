package deliver

import (
	"errors"
	"net/url"
	"slices"
)

// Enrollment lets a device make its key itself and fetch the certificate by SCEP
// (RFC 8894), in place of an identity in the profile. Nothing is asked then, and
// no key travels.
type Enrollment struct {
	// ID tells this enrolment from the next one of the same device.
	ID string

	// URL is the address of the SCEP server, http or https.
	URL string

	// Challenge is what the device proves itself with, once. Whoever reads the
	// profile can use it in the device's place.
	Challenge string

	// CommonName is what the device asks to be called. The server decides.
	// Optional.
	CommonName string

	// CAFingerprint is the hash of the CA certificate that the device must meet:
	// SHA-1 or MD5, says Apple's paper on 802.1X, and without it nothing is
	// compared. Over http it must be there: who answers in the server's place would
	// be sent the challenge. Optional.
	CAFingerprint []byte

	// KeyBits is the length of the RSA key, 2048 or 4096; Apple's payload knows no
	// other kind. Optional, the default is 2048.
	KeyBits int
}

// check refuses what a device could not use, or not safely.
func (e Enrollment) check() error {
	u, err := url.Parse(e.URL)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return errors.New("SCEP address is no http address")
	case e.ID == "":
		return errors.New("enrolment has no id")
	case e.Challenge == "" || cleanText(e.Challenge) != e.Challenge:
		return errors.New("challenge is empty or holds characters that cannot be shown")
	case !slices.Contains([]int{0, 2048, 4096}, e.KeyBits):
		return errors.New("key is neither of 2048 nor of 4096 bits")
	}
	return nil
}

// enrollment makes the payload of an enrolment. Its UUID goes with it, as that of
// an identity does: a renewal is a new key.
func (p Profile) enrollment() enrollmentPlist {
	e := p.Enrollment
	payload := enrollmentPlist{payloadHead: p.head("com.apple.security.scep", p.Identifier, "identity")}
	payload.PayloadUUID = nameUUID(payload.PayloadIdentifier + "/scep/" + e.ID)
	payload.PayloadDisplayName = cleanText(p.IdentityName)
	payload.PayloadContent = enrollmentContent{
		URL: e.URL, Challenge: e.Challenge, CAFingerprint: e.CAFingerprint,
		Keysize: e.KeyBits, KeyType: "RSA", KeyUsage: 1 | 4, // signing, encryption
	}
	if e.KeyBits == 0 {
		payload.PayloadContent.Keysize = 2048
	}
	if name := cleanText(e.CommonName); name != "" {
		payload.PayloadContent.Subject = [][][]string{{{"CN", name}}}
	}
	return payload
}

// enrollmentPlist is com.apple.security.scep.
type enrollmentPlist struct {
	payloadHead
	PayloadContent enrollmentContent `plist:"PayloadContent"`
}

type enrollmentContent struct {
	URL              string       `plist:"URL"`
	Challenge        string       `plist:"Challenge"`
	Subject          [][][]string `plist:"Subject,omitempty"`
	Keysize          int          `plist:"Keysize"` // 1024 by default, in Apple's schema
	KeyType          string       `plist:"Key Type"`
	KeyUsage         int          `plist:"Key Usage"`
	CAFingerprint    []byte       `plist:"CAFingerprint,omitempty"`
	KeyIsExtractable bool         `plist:"KeyIsExtractable"` // true by default
}
