package ca

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ParseCAName reads the distinguished name of a CA as administrators write it (RFC 4514,
// the most specific part first, such as "CN=Corp Phones CA,O=Corp,C=DE"). The parts may
// be CN, OU, O, L, ST, C and DC; a comma in a value is written \, or the value in double
// quotes. The error says what to write.
func ParseCAName(text string) (pkix.RDNSequence, error) {
	name, err := parseCAName(text)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", text, err)
	}
	return name, nil
}

func parseCAName(text string) (pkix.RDNSequence, error) {
	if !utf8.ValidString(text) || !norm.NFC.IsNormalString(text) {
		return nil, errors.New("is not UTF-8 in normalization form C")
	}
	if strings.HasPrefix(text, "/") {
		return nil, errors.New("is written as OpenSSL does: write CN=Corp Phones CA,O=Corp,C=DE")
	}
	var name pkix.RDNSequence
	for rest, more := text, true; more; {
		kind, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not TYPE=VALUE; write a comma in a value as \\,", rest)
		}
		var value string
		var err error
		if value, rest, more, err = nameValue(after); err != nil {
			return nil, err
		}
		part, err := nameAttribute(strings.ToUpper(strings.TrimSpace(kind)), value)
		if err != nil {
			return nil, err
		}
		name = append(name, pkix.RelativeDistinguishedNameSET{part})
	}
	for i, part := range name {
		if part[0].Type.Equal(oidCommonName()) != (i == 0) {
			return nil, errors.New("must have one common name, as its first part: CN=Corp Phones CA,O=Corp,C=DE")
		}
	}
	if len(name) > maxNameParts {
		return nil, fmt.Errorf("has %d parts, more than %d", len(name), maxNameParts)
	}
	slices.Reverse(name)
	return name, nil
}

// nameValue reads a value up to the comma that ends it. more reports whether a part
// follows.
func nameValue(text string) (value, rest string, more bool, err error) {
	text = strings.TrimLeft(text, " ")
	quoted := strings.HasPrefix(text, `"`)
	if quoted {
		text = text[1:]
	}
	var b strings.Builder
	blanks := 0 // at the end, not escaped
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			octet, length, err := unescape(text[i+1:])
			if err != nil {
				return "", "", false, err
			}
			b.WriteByte(octet)
			i, blanks = i+length, 0
			continue
		case quoted && c == '"':
			after := strings.TrimLeft(text[i+1:], " ")
			if after != "" && after[0] != ',' {
				return "", "", false, fmt.Errorf("%q follows a closing quote: want a comma", after)
			}
			return b.String(), strings.TrimPrefix(after, ","), after != "", nil
		case !quoted && c == ',':
			return b.String()[:b.Len()-blanks], text[i+1:], true, nil
		case !quoted && strings.IndexByte(`+;<>"`, c) >= 0:
			return "", "", false, fmt.Errorf("%q in a value needs a backslash before it", c)
		case c == ' ':
			blanks++
			b.WriteByte(c)
			continue
		}
		b.WriteByte(text[i])
		blanks = 0
	}
	if quoted {
		return "", "", false, errors.New("has a quote that is not closed")
	}
	return b.String()[:b.Len()-blanks], "", false, nil
}

// unescape reads what follows a backslash: two hexadecimal digits or a special character.
func unescape(text string) (octet byte, length int, err error) {
	if len(text) >= 2 {
		if octets, err := hex.DecodeString(text[:2]); err == nil {
			return octets[0], 2, nil
		}
	}
	if text == "" || strings.IndexByte(` "#+,;<=>\`, text[0]) < 0 {
		return 0, 0, errors.New(`has a backslash that escapes nothing: write \\ for one`)
	}
	return text[0], 1, nil
}

// nameAttribute checks a value against the upper bounds of RFC 5280 appendix A.1.
func nameAttribute(kind, value string) (pkix.AttributeTypeAndValue, error) {
	id := map[string]asn1.ObjectIdentifier{
		"CN": oidCommonName(), "OU": {2, 5, 4, 11}, "O": {2, 5, 4, 10}, "L": {2, 5, 4, 7},
		"ST": {2, 5, 4, 8}, "S": {2, 5, 4, 8}, "C": {2, 5, 4, 6}, "DC": {0, 9, 2342, 19200300, 100, 1, 25},
	}[kind]
	if id == nil {
		return pkix.AttributeTypeAndValue{}, fmt.Errorf("type %q is not CN, OU, O, L, ST, C or DC", kind)
	}
	a := pkix.AttributeTypeAndValue{Type: id, Value: value}
	if kind == "C" {
		if len(value) != 2 || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return a, fmt.Errorf("country C=%s is not a code of two capital letters, such as DE", value)
		}
		return a, nil // a PrintableString, as the standard asks
	}
	t, _ := typeOf(a)
	if n := utf8.RuneCountInString(value); n == 0 || n > t.longest {
		return a, fmt.Errorf("%s has %d characters: want 1 to %d", kind, n, t.longest)
	}
	// The value is checked again: escapes can make any octets.
	foreign := func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
	if !utf8.ValidString(value) || strings.ContainsFunc(value, foreign) || strings.TrimSpace(value) != value || !norm.NFC.IsNormalString(value) {
		return a, fmt.Errorf("%s holds outer spaces, or characters that no name should have", kind)
	}
	if t.ascii && !isASCII(value) {
		return a, fmt.Errorf("%s=%s: want ASCII", kind, value)
	}
	return a, nil
}

// EscapeName escapes a value for the text that [ParseCAName] reads.
func EscapeName(value string) string {
	var b strings.Builder
	for _, r := range value {
		if strings.ContainsRune(`"#+,;<=>\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
