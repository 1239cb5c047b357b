package ca

import (
	"bytes"
	"crypto/x509"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// IssuedTo reports whether a certificate was issued to an account: by the SID where the
// certificate has one, as the UPN may have changed; else by the UPN. What
// is signed decides, not what a database says about the certificate.
func IssuedTo(cert *x509.Certificate, s Subject) bool {
	upn := ""
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(oidSIDExtension()):
			want, err := sidExtension(s.SID)
			return err == nil && s.SID != "" && bytes.Equal(e.Value, want.Value)
		case e.Id.Equal(oidSAN()):
			upn = upnOf(e.Value)
		}
	}
	return upn != "" && strings.EqualFold(upn, s.UPN)
}

// NamesAccount reports whether a certificate names no other account than the one with this
// UPN and SID, letter by letter: what a certificate lacks names none.
func NamesAccount(cert *x509.Certificate, upn, sid string) bool {
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(oidSIDExtension()):
			want, err := sidExtension(sid)
			if err != nil || !bytes.Equal(e.Value, want.Value) {
				return false
			}
		case e.Id.Equal(oidSAN()):
			if named := upnOf(e.Value); named != "" && named != upn {
				return false
			}
		}
	}
	return true
}

// upnOf reads the UPN of a subject alternative name as [userSAN] builds it, where it is
// the first name; empty without one.
func upnOf(san []byte) string {
	input := cryptobyte.String(san)
	var names, other, inner, upn cryptobyte.String
	id := oidUPN()
	if !input.ReadASN1(&names, der.SEQUENCE) || !names.ReadASN1(&other, contextTag(0)) ||
		!other.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidUPN()) ||
		!other.ReadASN1(&inner, contextTag(0)) || !inner.ReadASN1(&upn, der.UTF8String) {
		return ""
	}
	return string(upn)
}
