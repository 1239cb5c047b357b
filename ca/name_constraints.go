package ca

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

func oidNameConstraints() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 30} }

// nameForm is a kind of name that the portal certifies.
type nameForm string

const (
	formUPN  nameForm = "UPN"
	formMail nameForm = "e-mail address"
	formDNS  nameForm = "DNS name"
	formIP   nameForm = "IP address"
	formDN   nameForm = "distinguished name"
)

// subtree is one base of name constraints, in the form that it is compared in.
type subtree struct {
	form nameForm
	text string // UPN, mail and DNS, in lower case
	dn   pkix.RDNSequence
	ip   *net.IPNet
}

// nameConstraints are those of one CA certificate (RFC 5280 section 4.2.1.10). Forms that
// the portal certifies no names of are left out. crypto/x509 knows neither UPNs nor
// distinguished names.
type nameConstraints struct {
	permitted, excluded []subtree
}

// readNameConstraints gives nil for a certificate without constraints.
func readNameConstraints(cert *x509.Certificate) (*nameConstraints, error) {
	i := slices.IndexFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints()) })
	if i < 0 {
		return nil, nil
	}
	input := cryptobyte.String(cert.Extensions[i].Value)
	var outer, permitted, excluded cryptobyte.String
	var hasPermitted, hasExcluded bool
	if !input.ReadASN1(&outer, der.SEQUENCE) || !input.Empty() ||
		!outer.ReadOptionalASN1(&permitted, &hasPermitted, contextTag(0)) ||
		!outer.ReadOptionalASN1(&excluded, &hasExcluded, contextTag(1)) || !outer.Empty() {
		return nil, errors.New("name constraints cannot be read")
	}
	var c nameConstraints
	var err error
	if c.permitted, err = readSubtrees(permitted); err == nil {
		c.excluded, err = readSubtrees(excluded)
	}
	return &c, err
}

func readSubtrees(input cryptobyte.String) ([]subtree, error) {
	var list []subtree
	for !input.Empty() {
		var tree, base cryptobyte.String
		var tag der.Tag
		if !input.ReadASN1(&tree, der.SEQUENCE) || !tree.ReadAnyASN1(&base, &tag) {
			return nil, errors.New("name constraints cannot be read")
		}
		s, err := readBase(tag, base)
		if err != nil {
			return nil, err
		}
		if s.form != "" {
			list = append(list, s)
		}
	}
	return list, nil
}

// readBase reads a GeneralName; the form is empty for one that does not matter here.
func readBase(tag der.Tag, base cryptobyte.String) (subtree, error) {
	text := strings.ToLower(string(base))
	switch tag {
	case contextTag(0):
		return readUPNBase(base)
	case der.Tag(1).ContextSpecific():
		return subtree{form: formMail, text: text}, nil
	case der.Tag(2).ContextSpecific():
		return subtree{form: formDNS, text: text}, nil
	case contextTag(4):
		var dn pkix.RDNSequence
		if rest, err := asn1.Unmarshal(base, &dn); err != nil || len(rest) > 0 {
			return subtree{}, errors.New("a distinguished name in the name constraints cannot be read")
		}
		return subtree{form: formDN, dn: dn}, nil
	case der.Tag(7).ContextSpecific():
		if half := len(base) / 2; half == net.IPv4len || half == net.IPv6len {
			return subtree{form: formIP, ip: &net.IPNet{IP: net.IP(base[:half]), Mask: net.IPMask(base[half:])}}, nil
		}
		return subtree{}, errors.New("an address in the name constraints cannot be read")
	}
	return subtree{}, nil
}

// readUPNBase reads an otherName. AD CS writes the UPN as UTF8String.
func readUPNBase(base cryptobyte.String) (subtree, error) {
	var id asn1.ObjectIdentifier
	var inner, value cryptobyte.String
	var tag der.Tag
	if !base.ReadASN1ObjectIdentifier(&id) {
		return subtree{}, errors.New("a name in the name constraints cannot be read")
	}
	if !id.Equal(oidUPN()) {
		return subtree{}, nil
	}
	if !base.ReadASN1(&inner, contextTag(0)) || !inner.ReadAnyASN1(&value, &tag) {
		return subtree{}, errors.New("a UPN in the name constraints cannot be read")
	}
	return subtree{form: formUPN, text: strings.ToLower(string(value))}, nil
}

// certifiedName is a name that the portal puts into certificates.
type certifiedName struct {
	form nameForm
	text string // as printed
	dn   pkix.RDNSequence
}

// allow reports whether certificates with the name are valid below the constraints.
func (c *nameConstraints) allow(n certifiedName) bool {
	same := func(s subtree) bool { return s.form == n.form }
	matches := func(s subtree) bool { return s.form == n.form && s.contains(n) }
	if slices.ContainsFunc(c.excluded, matches) {
		return false
	}
	return !slices.ContainsFunc(c.permitted, same) || slices.ContainsFunc(c.permitted, matches)
}

// contains reports whether the name is below the base.
func (s subtree) contains(n certifiedName) bool {
	name := strings.ToLower(n.text)
	switch s.form {
	case formDN:
		return len(s.dn) <= len(n.dn) && slices.EqualFunc(s.dn, n.dn[:min(len(s.dn), len(n.dn))], sameRDN)
	case formIP:
		ip := net.ParseIP(n.text)
		return ip != nil && s.ip.Contains(ip)
	case formDNS:
		base := strings.TrimPrefix(s.text, ".")
		return base == "" || strings.HasSuffix("."+name, "."+base) && (s.text == base || name != base)
	}
	// UPN and mail: a mailbox, all of a host, or with a dot all hosts below it. For UPNs,
	// Windows also takes "@host".
	_, host, _ := strings.Cut(name, "@")
	base := s.text
	if s.form == formUPN {
		base = strings.TrimPrefix(base, "@")
	}
	switch {
	case base == "":
		return true
	case strings.Contains(base, "@"):
		return name == base
	case strings.HasPrefix(base, "."):
		return strings.HasSuffix(host, base)
	}
	return host == base
}

// sameRDN compares without case and outer or double spaces (RFC 5280 section 7.1).
func sameRDN(a, b pkix.RelativeDistinguishedNameSET) bool {
	return slices.EqualFunc(a, b, func(x, y pkix.AttributeTypeAndValue) bool {
		return x.Type.Equal(y.Type) && bytes.Equal(foldedValue(x.Value), foldedValue(y.Value))
	})
}

func foldedValue(value any) []byte {
	text, ok := value.(string)
	if raw, isRaw := value.(asn1.RawValue); isRaw {
		text, ok = string(raw.Bytes), true
	}
	if !ok {
		return nil
	}
	return []byte(strings.Join(strings.Fields(strings.ToLower(text)), " "))
}
