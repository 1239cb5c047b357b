package ca

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// userRules gives the lints of User certificates: the parts that Microsoft's domain
// controllers read, for which no public lints exist. Each lint encodes the expected
// value independently of the builder, so that it finds faults of the builder.
func userRules() []rule {
	return []rule{
		{"subject-is-the-persons", "RFC 5280 section 4.1.2.6 and ub-common-name, subject of the User profile", lintSubject},
		{"san-upn", "KB5014754, account lookup by UPN", lintUPN},
		{"san-mail", "RFC 5280 section 4.2.1.6", lintMail},
		{"san-nothing-else", "KB5014754, weak mappings", lintSANOnly},
		{"sid-extension", "MS-WCCE 2.2.2.7.7.4", lintSID},
		{"template-name", "User template of AD CS", lintTemplate},
		{"extended-key-usage", "RFC 5280 section 4.2.1.12, User template of AD CS", lintUsages},
		{"key-usage", "RFC 5280 section 4.2.1.3", lintKeyUsage},
		{"extensions-known", "golden list of the User profile", lintKnownUser},
	}
}

// lintSubject reads the names as they are encoded. None of them may be taken for another
// person's UPN.
func lintSubject(cert *x509.Certificate, want *spec) error {
	var found pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &found); err != nil || len(rest) > 0 || len(found) == 0 {
		return errors.New("subject is not a list of names")
	}
	for _, part := range found {
		value, isText := part[0].Value.(string)
		if len(part) != 1 || !isText || value == "" {
			return errors.New("subject has a name that is empty or of several parts")
		}
		if strings.Contains(value, "@") && value != want.subject.UPN {
			return errors.New("subject holds an @ that is not of the user principal name")
		}
	}
	if want.profile.subject == SubjectDirectoryName && found.String() == want.subject.DirectoryName.String() {
		return nil
	}
	return lintCommonName(found, want)
}

// lintCommonName is about a subject that is a common name alone.
func lintCommonName(found pkix.RDNSequence, want *spec) error {
	value, _ := found[0][0].Value.(string)
	if len(found) != 1 || !found[0][0].Type.Equal(oidCommonName()) {
		return errors.New("subject is neither a common name alone nor the directory's")
	}
	if value == want.subject.UPN && len([]rune(value)) <= 64 {
		return nil
	}
	short := len([]rune(want.subject.UPN)) <= 64
	if short && want.profile.subject != SubjectDisplayName {
		return errors.New("common name is not the user principal name")
	}
	local, _, _ := strings.Cut(want.subject.UPN, "@")
	own := value == norm.NFC.String(strings.TrimSpace(want.subject.Name)) || !short && strings.HasPrefix(local, value)
	if len([]rune(value)) > 64 || !own {
		return errors.New("common name in place of a user principal name is not the person's")
	}
	return nil
}

// generalNames splits the subject alternative name into its entries.
func generalNames(cert *x509.Certificate) ([]asn1.RawValue, error) {
	e, found := extensionOf(cert, oidSAN())
	if !found {
		return nil, errors.New("subject alternative name is missing")
	}
	var names []asn1.RawValue
	rest, err := asn1.Unmarshal(e.Value, &names)
	if err != nil || len(rest) > 0 {
		return nil, errors.New("subject alternative name is not a list of names")
	}
	return names, nil
}

func lintUPN(cert *x509.Certificate, want *spec) error {
	names, err := generalNames(cert)
	if err != nil {
		return err
	}
	// 06 0a 2b0601040182371402 03 is the identifier 1.3.6.1.4.1.311.20.2.3.
	id := []byte{0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03}
	text := layer(0xa0, layer(0x0c, []byte(want.subject.UPN)))
	found := 0
	for _, name := range names {
		if name.Tag == 0 && bytes.Equal(name.FullBytes, layer(0xa0, append(id, text...))) {
			found++
		}
	}
	if found != 1 {
		return fmt.Errorf("user principal name stands %d times as UTF8String", found)
	}
	return nil
}

func lintMail(cert *x509.Certificate, want *spec) error {
	names, err := generalNames(cert)
	if err != nil {
		return err
	}
	var found []string
	for _, name := range names {
		if name.Tag == 1 {
			found = append(found, string(name.Bytes))
		}
	}
	if want.subject.Mail == "" && len(found) == 0 {
		return nil
	}
	if len(found) != 1 || found[0] != want.subject.Mail {
		return errors.New("e-mail addresses differ from the directory's")
	}
	return nil
}

// lintSANOnly refuses names that could map to another account or authenticate a
// server.
func lintSANOnly(cert *x509.Certificate, _ *spec) error {
	names, err := generalNames(cert)
	if err != nil {
		return err
	}
	if len(names) > 2 {
		return fmt.Errorf("subject alternative name has %d entries", len(names))
	}
	for _, name := range names {
		if name.Class != asn1.ClassContextSpecific || name.Tag > 1 {
			return fmt.Errorf("subject alternative name has an entry of type %d", name.Tag)
		}
	}
	return nil
}

func lintSID(cert *x509.Certificate, want *spec) error {
	e, found := extensionOf(cert, oidSIDExtension())
	if want.subject.SID == "" {
		if found {
			return errors.New("SID extension without a SID")
		}
		return nil
	}
	// 06 0a 2b0601040182371902 01 is the identifier 1.3.6.1.4.1.311.25.2.1.
	id := []byte{0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x19, 0x02, 0x01}
	text := layer(0xa0, layer(0x04, []byte(want.subject.SID)))
	if !bytes.Equal(e.Value, layer(0x30, layer(0xa0, append(id, text...)))) {
		return errors.New("SID extension is missing or differs from the directory's SID")
	}
	if e.Critical {
		return errors.New("SID extension is critical")
	}
	return nil
}

func lintTemplate(cert *x509.Certificate, want *spec) error {
	var wide []byte
	for _, c := range []byte(want.profile.template) {
		wide = append(wide, 0, c)
	}
	if e, _ := extensionOf(cert, oidTemplate()); !bytes.Equal(e.Value, layer(0x1e, wide)) {
		return errors.New("template name is not the profile's as BMPString")
	}
	return nil
}

func lintUsages(cert *x509.Certificate, want *spec) error {
	// A fixed list, not that of the profile: a profile must not be able to extend
	// the usages of a User certificate.
	for _, usage := range cert.ExtKeyUsage {
		if usage != x509.ExtKeyUsageClientAuth && usage != x509.ExtKeyUsageEmailProtection {
			return fmt.Errorf("extended key usage %s is none of a user's", usage)
		}
	}
	for _, usage := range cert.UnknownExtKeyUsage {
		if !usage.Equal(oidEFS()) {
			return fmt.Errorf("extended key usage %s is none of a user's", usage)
		}
	}
	e, _ := extensionOf(cert, oidExtKeyUsage())
	return equalDER(e.Value, want.profile.extKeyUsages)
}

func lintKeyUsage(cert *x509.Certificate, want *spec) error {
	// 03 02 07 80 is digitalSignature, 03 02 05 a0 with keyEncipherment.
	octets := []byte{0x03, 0x02, 0x07, 0x80}
	if want.kind.isRSA() && want.profile.enciphers {
		octets = []byte{0x03, 0x02, 0x05, 0xa0}
	}
	e, _ := extensionOf(cert, oidKeyUsage())
	if !bytes.Equal(e.Value, octets) || !e.Critical {
		return fmt.Errorf("key usage is %x, want %x and critical", e.Value, octets)
	}
	return nil
}

func lintKnownUser(cert *x509.Certificate, _ *spec) error {
	return allowedOnly(cert, oidTemplate(), oidSIDExtension())
}

// layer encodes tag, length and content of up to 65535 octets.
func layer(tag byte, content []byte) []byte {
	n := len(content)
	head := []byte{tag, byte(n)}
	if n > 255 {
		head = []byte{tag, 0x82, byte(n >> 8), byte(n)}
	} else if n > 127 {
		head = []byte{tag, 0x81, byte(n)}
	}
	return append(head, content...)
}
