package directory

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// directoryName gives the DN of an entry in the order of X.509, the root of the tree
// first: LDAP writes it the other way round (RFC 4514 section 2.1). It is nil when the DN
// holds an attribute type that no certificate names; the DN of a person decides nothing.
func directoryName(dn string) pkix.RDNSequence {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return nil
	}
	var name pkix.RDNSequence
	for _, part := range slices.Backward(parsed.RDNs) {
		var set pkix.RelativeDistinguishedNameSET
		for _, a := range part.Attributes {
			id := nameType(a.Type)
			if id == nil {
				return nil
			}
			set = append(set, pkix.AttributeTypeAndValue{Type: id, Value: a.Value})
		}
		name = append(name, set)
	}
	return name
}

// nameType gives the identifier of an attribute type in a DN (RFC 4514 section 3), nil
// when it is none of those that name people.
func nameType(name string) asn1.ObjectIdentifier {
	switch strings.ToUpper(name) {
	case "CN":
		return asn1.ObjectIdentifier{2, 5, 4, 3}
	case "L":
		return asn1.ObjectIdentifier{2, 5, 4, 7}
	case "ST":
		return asn1.ObjectIdentifier{2, 5, 4, 8}
	case "O":
		return asn1.ObjectIdentifier{2, 5, 4, 10}
	case "OU":
		return asn1.ObjectIdentifier{2, 5, 4, 11}
	case "DC":
		return asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
	case "UID":
		return asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	}
	return nil
}

// nameOfDN is the name in the first part of a distinguished name, such as that of a
// manager; empty for what is none.
func nameOfDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) == 0 {
		return ""
	}
	return parsed.RDNs[0].Attributes[0].Value
}
