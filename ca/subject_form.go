package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// SubjectForm is what stands in the field subject (RFC 5280 section 4.1.2.6) of a User
// certificate. Domain controllers read the person from the subject alternative name and
// the SID extension, so the form is for people and for other servers.
type SubjectForm string

const (
	SubjectUPN           SubjectForm = "upn"            // common name: the UPN
	SubjectDisplayName   SubjectForm = "display_name"   // common name: the display name
	SubjectDirectoryName SubjectForm = "directory_name" // the distinguished name of the person's entry
)

// SubjectForms are all there are, the default first.
func SubjectForms() []SubjectForm {
	return []SubjectForm{SubjectUPN, SubjectDisplayName, SubjectDirectoryName}
}

// ParseSubjectForm reads a form; empty is [SubjectUPN].
func ParseSubjectForm(text string) (SubjectForm, error) {
	if text == "" {
		return SubjectUPN, nil
	}
	if form := SubjectForm(text); slices.Contains(SubjectForms(), form) {
		return form, nil
	}
	return "", fmt.Errorf("subject %q: want upn, display_name or directory_name", text)
}

// field gives the subject in a form. Where the person has no name that can stand there,
// it is that of [SubjectUPN]: a name is no reason to refuse a certificate, as the UPN in
// the subject alternative name is complete in every form.
func (s Subject) field(form SubjectForm) pkix.Name {
	switch form {
	case SubjectDirectoryName:
		if s.usableDirectoryName() {
			return pkix.Name{ExtraNames: encodable(s.DirectoryName)}
		}
	case SubjectDisplayName:
		if name := s.displayName(); name != "" {
			return pkix.Name{CommonName: name}
		}
	}
	return pkix.Name{CommonName: s.CommonName()}
}

// displayName gives the display name where it can be a common name, else "".
func (s Subject) displayName() string {
	name := norm.NFC.String(strings.TrimSpace(s.Name))
	if !s.usableName(name, maxCommonName) {
		return ""
	}
	return name
}

// usableName reports whether a name can stand in a subject. One with an @ could be taken
// for another person's UPN by servers that map by common name; public lints refuse
// character references of HTML and outer spaces.
func (s Subject) usableName(name string, longest int) bool {
	if name == s.UPN {
		return utf8.RuneCountInString(name) <= longest
	}
	foreign := func(r rune) bool { return r == '@' || r != ' ' && !unicode.IsPrint(r) }
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= longest &&
		strings.TrimSpace(name) == name && !strings.ContainsFunc(name, foreign) &&
		!(strings.Contains(name, "&") && strings.Contains(name, ";"))
}

// nameType is an attribute type that a directory name may hold, with its upper bound in
// characters (RFC 5280 appendix A.1; RFC 4519 section 2.39 for userid).
type nameType struct {
	id      asn1.ObjectIdentifier
	longest int
	ascii   bool // encoded as IA5String, as domainComponent must be (RFC 4519 section 2.4)
}

func nameTypes() []nameType {
	return []nameType{
		{oidCommonName(), maxCommonName, false},
		{asn1.ObjectIdentifier{2, 5, 4, 11}, 64, false},                            // organizationalUnitName
		{asn1.ObjectIdentifier{2, 5, 4, 10}, 64, false},                            // organizationName
		{asn1.ObjectIdentifier{2, 5, 4, 7}, 128, false},                            // localityName
		{asn1.ObjectIdentifier{2, 5, 4, 8}, 128, false},                            // stateOrProvinceName
		{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, 63, true},        // domainComponent
		{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, maxUserID, false}, // userid
	}
}

const (
	maxUserID = 256
	// maxNameParts bounds the size of a certificate: deeper organizational units than
	// Active Directory's tools can show.
	maxNameParts = 32
)

func typeOf(a pkix.AttributeTypeAndValue) (nameType, bool) {
	all := nameTypes()
	i := slices.IndexFunc(all, func(t nameType) bool { return t.id.Equal(a.Type) })
	if i < 0 {
		return nameType{}, false
	}
	return all[i], true
}

// usableDirectoryName reports whether every part of the directory name can stand in a
// certificate. A name that was shortened or lost a part would be that of another entry.
func (s Subject) usableDirectoryName() bool {
	if len(s.DirectoryName) == 0 || len(s.DirectoryName) > maxNameParts {
		return false
	}
	for _, part := range s.DirectoryName {
		if len(part) != 1 {
			return false
		}
		value, isText := part[0].Value.(string)
		t, known := typeOf(part[0])
		if !isText || !known || !s.usableName(value, t.longest) || t.ascii && !isASCII(value) {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// encodable flattens a directory name, with the string types that the attribute types ask
// for.
func encodable(name pkix.RDNSequence) []pkix.AttributeTypeAndValue {
	var encoded []pkix.AttributeTypeAndValue
	for _, part := range name {
		a := part[0]
		if t, _ := typeOf(a); t.ascii {
			a.Value = asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(a.Value.(string))}
		}
		encoded = append(encoded, a)
	}
	return encoded
}
