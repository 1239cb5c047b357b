package ca

import (
	"crypto/x509/pkix"
	"net/mail"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// Subject is the person that a certificate names, with the current data of the
// directory.
type Subject struct {
	UPN  string // user principal name, such as alice@example.com, at most 256 characters
	Mail string // Optional: e-mail address for rfc822Name, ASCII
	SID  string // Optional: security identifier, such as S-1-5-21-1-2-3-1001
	Name string // Optional: display name, the common name where the UPN is too long for one

	// DirectoryName is the distinguished name of the person's entry as X.509 orders it,
	// the root of the tree first, with strings as values. Optional, for
	// [SubjectDirectoryName].
	DirectoryName pkix.RDNSequence
}

// CommonName returns the UPN when it is short enough (RFC 5280, ub-common-name), else the
// display name, else the beginning of the UPN before the @. A substitute has no @, because
// servers that map by common name could take it for another person's UPN.
func (s Subject) CommonName() string {
	if utf8.RuneCountInString(s.UPN) <= maxCommonName {
		return s.UPN
	}
	if name := s.displayName(); name != "" {
		return name
	}
	local, _, _ := strings.Cut(s.UPN, "@")
	runes := []rune(local)
	return string(runes[:min(len(runes), maxCommonName)])
}

// SubjectError says which field of a subject is invalid in a certificate, and why.
type SubjectError struct {
	Field  string // "upn", "mail", "sid", or "name" for a server's name
	Reason string // lower case, without the value
}

// Error gives field and reason.
func (e *SubjectError) Error() string { return "refusing subject: " + e.Field + " " + e.Reason }

const (
	// maxCommonName is ub-common-name of RFC 5280 appendix A.1, in characters.
	maxCommonName = 64
	// maxUPN is the longest UPN in characters: no longer login name is looked up.
	maxUPN = 256
	// maxMail is the maximum length of an address in SMTP (RFC 5321 section
	// 4.5.3.1.3, without the angle brackets).
	maxMail = 254
)

// Validate returns a [*SubjectError] if no certificate can name the subject, so that
// callers can check names long before a certificate is requested.
func (s Subject) Validate() error { return s.check(false) }

// check refuses an ambiguous subject. It relies on the directory for UPN, mail and
// SID being of the same person.
func (s Subject) check(requireSID bool) error {
	if reason := upnFault(s.UPN); reason != "" {
		return &SubjectError{Field: "upn", Reason: reason}
	}
	if reason := mailFault(s.Mail); reason != "" {
		return &SubjectError{Field: "mail", Reason: reason}
	}
	if s.SID == "" && requireSID {
		return &SubjectError{Field: "sid", Reason: "is missing, and without it domain controllers refuse the certificate"}
	}
	if s.SID != "" && !validSID(s.SID) {
		return &SubjectError{Field: "sid", Reason: "is not of the form S-1-5-21-a-b-c-rid"}
	}
	return nil
}

func upnFault(upn string) string {
	if upn == "" {
		return "is missing"
	}
	if !utf8.ValidString(upn) {
		return "is not UTF-8"
	}
	// Two Unicode forms of one name must not become two identities.
	if !norm.NFC.IsNormalString(upn) {
		return "is not in Unicode normalization form C"
	}
	for _, r := range upn {
		if r == ' ' || !unicode.IsPrint(r) {
			return "holds a space, a control or an invisible character"
		}
	}
	user, suffix, _ := strings.Cut(upn, "@")
	if user == "" || suffix == "" || strings.Contains(suffix, "@") {
		return "is not one name, one @ and one suffix"
	}
	if n := utf8.RuneCountInString(upn); n > maxUPN {
		return "has " + strconv.Itoa(n) + " characters, more than " + strconv.Itoa(maxUPN)
	}
	return ""
}

// CleanMail makes the address of a certificate from the value that a directory has for a
// person: without spaces around it, without a display name or the prefix "smtp:" of
// Exchange, and with the domain as A-labels (RFC 5280 section 7.5). It returns "" for a
// value that is no address, such as "n/a": an optional value must not veto the
// certificate.
func CleanMail(value string) string {
	address := strings.TrimSpace(value)
	if len(address) > len("smtp:") && strings.EqualFold(address[:len("smtp:")], "smtp:") {
		address = strings.TrimSpace(address[len("smtp:"):])
	}
	if strings.HasSuffix(address, ">") {
		named, err := mail.ParseAddress(address)
		if err != nil {
			return ""
		}
		address = named.Address
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return ""
	}
	local, domain := address[:at], address[at+1:]
	if strings.ContainsFunc(domain, func(r rune) bool { return r > unicode.MaxASCII }) {
		var err error
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return ""
		}
	}
	if mailFault(local+"@"+domain) != "" {
		return ""
	}
	return local + "@" + domain
}

func mailFault(address string) string {
	if address == "" {
		return ""
	}
	if len(address) > maxMail {
		return "is longer than 254 characters"
	}
	for _, r := range address {
		if r <= ' ' || r > '~' {
			return "holds a character that rfc822Name cannot carry (RFC 5280 section 4.2.1.6)"
		}
	}
	// The parser also accepts display names, comments and quoted parts, which are
	// invalid in a certificate. Only without them it returns the same text.
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.ContainsAny(address, `"<>()[]\,;:`) {
		return "is not an e-mail address"
	}
	return ""
}

// validSID reports whether the text is the SID of a domain account: three domain
// parts and the relative identifier (MS-DTYP 2.4.2.1), decimal, without leading zeros.
func validSID(sid string) bool {
	rest, domain := strings.CutPrefix(sid, "S-1-5-21-")
	parts := strings.Split(rest, "-")
	if !domain || len(parts) != 4 {
		return false
	}
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != part {
			return false
		}
	}
	return true
}
