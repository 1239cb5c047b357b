package ca

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Extension is one extension of a certificate in readable form.
type Extension struct {
	OID      string   // dotted
	Name     string   // name in the standard; empty for an unknown extension
	Critical bool     // RFC 5280 section 4.2
	Values   []string // one line each: "otherName UPN=anna@corp.example", or hexadecimal octets
}

// maxDescribed bounds a line of a description in bytes, because the octets of an unknown
// extension may be long.
const maxDescribed = 512

// Describe describes every extension of a certificate. It never fails: it gives unknown
// or malformed extensions as hexadecimal octets, so that none is hidden. The texts hold
// no control characters.
func Describe(cert *x509.Certificate) []Extension {
	list := make([]Extension, 0, len(cert.Extensions))
	for _, e := range cert.Extensions {
		name, read := describer(e.Id)
		d := Extension{OID: e.Id.String(), Name: name, Critical: e.Critical}
		if read != nil {
			d.Values = read(cert, e)
		}
		if len(d.Values) == 0 {
			d.Values = []string{octets(e.Value)}
		}
		for i, v := range d.Values {
			d.Values[i] = printed(v)
		}
		list = append(list, d)
	}
	return list
}

// DescribeKey gives kind and size of a certificate's key, such as "RSA 2048".
func DescribeKey(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + key.Curve.Params().Name
	}
	return cert.PublicKeyAlgorithm.String()
}

// describer gives the name of an extension and the function that reads it, which returns
// nil for a malformed one.
func describer(id asn1.ObjectIdentifier) (string, func(*x509.Certificate, pkix.Extension) []string) {
	switch {
	case id.Equal(oidKeyUsage()):
		return "Key Usage", describeKeyUsage
	case id.Equal(oidExtKeyUsage()):
		return "Extended Key Usage", describeExtKeyUsage
	case id.Equal(oidSAN()):
		return "Subject Alternative Name", describeNames
	case id.Equal(oidBasicConstraints()):
		return "Basic Constraints", describeConstraints
	case id.Equal(oidSKI()):
		return "Subject Key Identifier", func(c *x509.Certificate, _ pkix.Extension) []string { return keyID(c.SubjectKeyId) }
	case id.Equal(oidAKI()):
		return "Authority Key Identifier", func(c *x509.Certificate, _ pkix.Extension) []string { return keyID(c.AuthorityKeyId) }
	case id.Equal(oidCDP()):
		return "CRL Distribution Points", func(c *x509.Certificate, _ pkix.Extension) []string { return c.CRLDistributionPoints }
	case id.Equal(oidAIA()):
		return "Authority Information Access", describeAccess
	case id.Equal(oidTemplate()):
		return "Certificate Template Name", describeTemplate
	case id.Equal(oidSIDExtension()):
		return "NTDS Security (SID)", describeSID
	}
	return "", nil
}

func describeKeyUsage(c *x509.Certificate, _ pkix.Extension) []string {
	names := []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
		"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}
	var set []string
	for bit, name := range names {
		if c.KeyUsage&(1<<bit) != 0 {
			set = append(set, name)
		}
	}
	return set
}

func describeExtKeyUsage(_ *x509.Certificate, e pkix.Extension) []string {
	var usages []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(e.Value, &usages); err != nil || len(rest) > 0 {
		return nil
	}
	known := map[string]string{
		oidClientAuth().String(): "clientAuth", oidEmailProtection().String(): "emailProtection", oidEFS().String(): "EFS",
		oidServerAuth().String(): "serverAuth", oidOCSPSigning().String(): "OCSPSigning",
		oidRegistrationAuthority().String(): "cmcRA", oidDocumentSigning().String(): "documentSigning",
	}
	var lines []string
	for _, usage := range usages {
		lines = append(lines, strings.TrimSpace(known[usage.String()]+" "+usage.String()))
	}
	return lines
}

func describeConstraints(c *x509.Certificate, _ pkix.Extension) []string {
	switch {
	case !c.BasicConstraintsValid:
		return nil
	case !c.IsCA:
		return []string{"CA: no"}
	case c.MaxPathLen > 0 || c.MaxPathLenZero:
		return []string{"CA: yes", fmt.Sprintf("path length: %d", c.MaxPathLen)}
	}
	return []string{"CA: yes"}
}

func describeAccess(c *x509.Certificate, _ pkix.Extension) []string {
	var lines []string
	for _, address := range c.OCSPServer {
		lines = append(lines, "OCSP "+address)
	}
	for _, address := range c.IssuingCertificateURL {
		lines = append(lines, "caIssuers "+address)
	}
	return lines
}

func keyID(id []byte) []string {
	if len(id) == 0 {
		return nil
	}
	return []string{octets(id)}
}

// describeNames reads GeneralNames (RFC 5280 section 4.2.1.6), otherNames among them,
// which crypto/x509 leaves out.
func describeNames(_ *x509.Certificate, e pkix.Extension) []string {
	input := cryptobyte.String(e.Value)
	var names cryptobyte.String
	if !input.ReadASN1(&names, der.SEQUENCE) || !input.Empty() {
		return nil
	}
	var lines []string
	for !names.Empty() {
		var value cryptobyte.String
		var tag der.Tag
		if !names.ReadAnyASN1(&value, &tag) {
			return nil
		}
		lines = append(lines, describeName(tag, value))
	}
	return lines
}

func describeName(tag der.Tag, value cryptobyte.String) string {
	switch tag {
	case contextTag(0):
		return describeOther(value)
	case der.Tag(1).ContextSpecific():
		return "rfc822Name " + string(value)
	case der.Tag(2).ContextSpecific():
		return "dNSName " + string(value)
	case der.Tag(6).ContextSpecific():
		return "uniformResourceIdentifier " + string(value)
	case der.Tag(7).ContextSpecific():
		if len(value) == net.IPv4len || len(value) == net.IPv6len {
			return "iPAddress " + net.IP(value).String()
		}
	}
	return fmt.Sprintf("name of tag %d %s", tag&0x1f, octets(value))
}

// describeOther reads an otherName: the UPN by name, any other by its identifier.
func describeOther(value cryptobyte.String) string {
	raw := octets(value)
	var id asn1.ObjectIdentifier
	var inner, text cryptobyte.String
	if !value.ReadASN1ObjectIdentifier(&id) || !value.ReadASN1(&inner, contextTag(0)) {
		return "otherName " + raw
	}
	if id.Equal(oidUPN()) && inner.ReadASN1(&text, der.UTF8String) {
		return "otherName UPN=" + string(text)
	}
	return "otherName " + id.String() + " " + octets(inner)
}

// describeTemplate reads the name of a version 1 template, a BMPString.
func describeTemplate(_ *x509.Certificate, e pkix.Extension) []string {
	input := cryptobyte.String(e.Value)
	var text cryptobyte.String
	if !input.ReadASN1(&text, der.Tag(30)) || len(text)%2 != 0 || !input.Empty() {
		return nil
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 0; i+1 < len(text); i += 2 {
		units = append(units, uint16(text[i])<<8|uint16(text[i+1]))
	}
	return []string{string(utf16.Decode(units))}
}

// describeSID reads the SID extension (see [sidExtension]).
func describeSID(_ *x509.Certificate, e pkix.Extension) []string {
	input := cryptobyte.String(e.Value)
	var names, other, inner, sid cryptobyte.String
	var id asn1.ObjectIdentifier
	if !input.ReadASN1(&names, der.SEQUENCE) || !names.ReadASN1(&other, contextTag(0)) ||
		!other.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidSID()) ||
		!other.ReadASN1(&inner, contextTag(0)) || !inner.ReadASN1(&sid, der.OCTET_STRING) {
		return nil
	}
	return []string{string(sid)}
}

// octets formats octets in hexadecimal, truncated if they are long.
func octets(b []byte) string {
	const most = 64
	cut := ""
	if len(b) > most {
		cut = fmt.Sprintf(" and %d more octets", len(b)-most)
		b = b[:most]
	}
	text := strings.ToUpper(hex.EncodeToString(b))
	var pairs []string
	for i := 0; i < len(text); i += 2 {
		pairs = append(pairs, text[i:i+2])
	}
	return strings.Join(pairs, ":") + cut
}

// printed makes text of a foreign certificate safe to display: valid UTF-8 of bounded
// length, without control and bidirectional formatting characters.
func printed(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	if len(s) <= maxDescribed {
		return s
	}
	return strings.ToValidUTF8(s[:maxDescribed], "") + "…"
}
