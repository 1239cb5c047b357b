package deliver

import (
	"errors"
	"net/url"
	"slices"
)

// Enrollment makes a device generate its key itself and get the certificate by SCEP
// (RFC 8894), in place of an identity in the profile. The device then asks for no
// password, and the key never leaves it.
type Enrollment struct {
	// ID distinguishes this enrolment from later ones of the same device.
	ID string

	// URL is the address of the SCEP server, http or https.
	URL string

	// Challenge is the one-time challengePassword of the device. Anyone who reads the
	// profile can use it.
	Challenge string

	// CommonName is the common name in the device's request, which the server may
	// ignore. Optional.
	CommonName string

	// CAFingerprint is the hash of the CA certificate, SHA-1 or MD5 (according to
	// Apple's paper on 802.1X), which the device compares with the server's. It is
	// required over http: without it the device would send the challenge to an
	// impostor. Optional over https.
	CAFingerprint []byte

	// KeyBits is the length of the RSA key, 2048 or 4096; Apple's payload supports RSA
	// only. Optional, the default is 2048.
	KeyBits int
}

// check refuses settings that a device could not use, or not securely.
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

// enrollment makes the payload of an enrolment. Its UUID depends on the ID, as that of
// an identity on its certificate, because a renewal is a new key.
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

// enrollmentPlist is the payload com.apple.security.scep.
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
