package ca

import (
	"net/mail"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

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
