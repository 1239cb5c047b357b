package adcs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/smallstep/pkcs7"
)

// HRESULTs of the stand-in (winerror.h).
const (
	noRequest         = 0x80094002
	badSubject        = 0x80094001
	restrictedOfficer = 0x80094009
	templateDenied    = 0x80094012
	noSignature       = 0x8009480a
	signatureRejected = 0x8009480b
	revokedAgent      = 0x80092010
	expiredAgent      = 0x800b0101
)

// open checks the agent's signature and gives the PKCS#10 request within, or an HRESULT.
func (c *CA) open(raw []byte) ([]byte, uint32) {
	if _, err := x509.ParseCertificateRequest(raw); err == nil {
		return raw, noSignature // the template requires an agent's
	}
	message, err := pkcs7.Parse(raw)
	if err != nil || len(message.Signers) != 1 {
		return nil, signatureRejected
	}
	agent := message.GetOnlySigner()
	if agent == nil {
		return nil, signatureRejected
	}
	if time.Now().After(agent.NotAfter) {
		return nil, expiredAgent
	}
	if err := message.VerifyWithChain(c.Roots()); err != nil || !slices.ContainsFunc(agent.UnknownExtKeyUsage, oidRequestAgent().Equal) {
		return nil, signatureRejected
	}
	login, err := Requester(message)
	if err != nil {
		return nil, signatureRejected
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, login)
	switch {
	case c.revoked:
		return nil, revokedAgent
	case !slices.Contains(c.people, login):
		return nil, restrictedOfficer
	}
	return message.Content, 0
}

// Requester reads the person that a request is for from the agent's signed attributes, by
// the general reader of encoding/asn1 and not by the way the portal writes them.
func Requester(message *pkcs7.PKCS7) (string, error) {
	var pair struct{ Name, Value asn1.RawValue }
	if err := message.UnmarshalSignedAttribute(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 13, 2, 1}, &pair); err != nil {
		return "", err
	}
	if text(pair.Name) != "requestername" {
		return "", errors.New("signed attribute has another name")
	}
	return text(pair.Value), nil
}

// text reads a BMPString.
func text(value asn1.RawValue) string {
	if value.Tag != asn1.TagBMPString {
		return ""
	}
	var units []uint16
	for i := 0; i+1 < len(value.Bytes); i += 2 {
		units = append(units, uint16(value.Bytes[i])<<8|uint16(value.Bytes[i+1]))
	}
	return string(utf16.Decode(units))
}
